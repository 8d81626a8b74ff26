package drills

// HTTPWrite is how a canary of kind http makes one record. In the URL, the body and the headers {run}, {n} (the number),
// {key} (short and unique to run and number) and {value} (number, run, time and digest: what is compared later) are
// replaced. It must go to a test account, and must set off nothing that reaches people.
type HTTPWrite struct {
	Method string     `json:"method,omitempty" yaml:"method"` // default POST
	URL    string     `json:"url" yaml:"url"`
	Body   string     `json:"body,omitempty" yaml:"body"`
	ID     string     `json:"id" yaml:"id"`                  // where the record's id is in the answer: keys of JSON objects, with dots
	Expect HTTPExpect `json:"expect,omitzero" yaml:"expect"` // what acknowledges the write; default any 2xx
}

// HTTPRead is how one record is read back from one instance: {member} is its address, {id} the record's id.
type HTTPRead struct {
	URL   string `json:"url" yaml:"url"`
	Value string `json:"value" yaml:"value"` // where {value} is in the answer
}

// HTTPList is how all records are read back from one instance, page by page: {member}, {skip} and {limit} are replaced.
// It finds what reading single records cannot: those whose write was never answered, duplicates and phantoms.
type HTTPList struct {
	URL   string `json:"url" yaml:"url"`
	Items string `json:"items,omitempty" yaml:"items"` // where the list is in the answer; empty: the answer is the list
	ID    string `json:"id" yaml:"id"`                 // in an item
	Value string `json:"value" yaml:"value"`           // in an item
	Limit int    `json:"limit,omitempty" yaml:"limit"` // items of one page; default 100
}

// HTTPRemove is how one record is purged: {member} and {id} are replaced. Any 2xx, 404 and 410 mean that it is gone.
type HTTPRemove struct {
	Method string `json:"method,omitempty" yaml:"method"` // default DELETE
	URL    string `json:"url" yaml:"url"`
}

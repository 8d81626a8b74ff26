package scenario

import (
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// httpCanary checks how records are made, read back and purged through an API.
func (d *document) httpCanary(path string, c *drills.CanarySpec) {
	if c.Connection == "pinned" {
		d.add(path+".connection", "an API has no primary to stay with", "persistent or fresh")
	}
	d.required(path+".members", len(c.Members) > 0, "the instances to read back from, as host:port")
	if d.required(path+".write", c.Write != nil, "{url: …, body: …, id: …}") {
		d.httpWrite(path+".write", c.Write)
	}
	if d.required(path+".remove", c.Remove != nil, "{url: \"http://{member}/…/{id}\"}: what a canary writes must be purged") {
		if c.Remove.Method == "" {
			c.Remove.Method = "DELETE"
		}
		places := []string{"{member}", "{id}"}
		if len(c.Members) == 1 { // there is only one to remove from, which need not be where writes go
			places = places[1:]
		}
		d.template(path+".remove.url", c.Remove.URL, places...)
	}
	if c.Read == nil && c.List == nil {
		d.add(path, "nothing says how records are read back", "read, list or both")
	}
	if c.Read != nil {
		d.template(path+".read.url", c.Read.URL, "{member}", "{id}")
		d.required(path+".read.value", c.Read.Value != "", "where {value} is in the answer")
	}
	if c.List != nil {
		d.httpList(path+".list", c.List)
	}
}

func (d *document) httpWrite(path string, w *drills.HTTPWrite) {
	if w.Method == "" {
		w.Method = "POST"
	}
	if !methodPattern.MatchString(w.Method) {
		d.add(path+".method", "this is not an HTTP method", "upper case, such as POST")
	}
	d.template(path+".url", w.URL)
	d.required(path+".id", w.ID != "", "where the record's id is in the answer, such as id or data.id")
	if d.required(path+".body", w.Body != "", "what is sent, with {value} in it") && !strings.Contains(w.Body, "{value}") {
		d.add(path+".body", "without {value} the records cannot be told apart, compared or purged", "put {value} into a text field")
	}
	d.statuses(path+".expect.status", w.Expect.Status)
}

func (d *document) httpList(path string, l *drills.HTTPList) {
	if l.Limit == 0 {
		l.Limit = 100
	}
	if l.Limit < 1 || l.Limit > 10_000 {
		d.add(path+".limit", "that is not a page's size", "from 1 to 10000")
	}
	d.template(path+".url", l.URL, "{member}", "{skip}", "{limit}")
	d.required(path+".id", l.ID != "", "where the id is in an item")
	d.required(path+".value", l.Value != "", "where {value} is in an item")
}

// template checks a URL with places to fill in.
func (d *document) template(path, url string, places ...string) {
	if !d.required(path, url != "", "http://host:port/path") {
		return
	}
	for _, p := range places {
		if !strings.Contains(url, p) {
			d.add(path, "the address lacks "+p, "it is replaced for every request")
		}
	}
	d.url(path, strings.NewReplacer("{", "", "}", "").Replace(url), "http", "https")
	d.dsnSecret(path, url)
}

package drills

// Suite is a list of drills that are run together, one after the other, such as those of a month.
type Suite struct {
	Version      int                `json:"version" yaml:"version"`
	Name         string             `json:"suite" yaml:"suite"`
	Title        string             `json:"title" yaml:"title"`
	Translations map[string]Wording `json:"translations,omitempty" yaml:"translations"`
	Limit        Duration           `json:"limit,omitempty" yaml:"limit"` // no drill begins after it; those left over count as not proven
	Drills       []SuiteDrill       `json:"drills" yaml:"drills"`

	File   string `json:"file" yaml:"-"`
	Digest string `json:"digest" yaml:"-"` // sha256 of the file, hex
}

// SuiteDrill is one line of a suite.
type SuiteDrill struct {
	Drill     string `json:"drill" yaml:"drill"`
	Component string `json:"component,omitempty" yaml:"component"` // for generic drills
}

// Wording is what a drill or a suite is called in another language.
type Wording struct {
	Title      string `json:"title,omitempty" yaml:"title"`
	Hypothesis string `json:"hypothesis,omitempty" yaml:"hypothesis"` // drills only
}

// Languages lists those that titles and hypotheses may be written in besides English, by ISO 639-1 code.
func Languages() []string { return []string{"es"} }

// TitleIn is the drill's title in a language, in English where there is no translation.
func (d *Drill) TitleIn(language string) string {
	if w := d.Translations[language]; w.Title != "" {
		return w.Title
	}
	return d.Title
}

// TitleIn is the suite's title in a language, in English where there is no translation.
func (s *Suite) TitleIn(language string) string {
	if w := s.Translations[language]; w.Title != "" {
		return w.Title
	}
	return s.Title
}

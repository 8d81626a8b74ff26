package scenario

import "testing"

func TestDidYouMean(t *testing.T) {
	known := []string{"environment", "timeout", "every", "production", "url"}
	for word, want := range map[string]string{
		"enviroment": "did you mean environment?",
		"tiemout":    "did you mean timeout?",
		"ulr":        "did you mean url?",
		"prod":       "did you mean production?",
		"URL":        "did you mean url?",
		"colour":     "one of environment, every, production, timeout, url",
		"":           "one of environment, every, production, timeout, url",
	} {
		if got := didYouMean(word, known); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
	if got := didYouMean("x", []string{"none"}); got != "it can only be none" {
		t.Errorf("got %q", got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"from", "form", 1}, {"abc", "abc", 0}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%s to %s: %d edits, want %d", c.a, c.b, got, c.want)
		}
	}
}

package verifier

import (
	"bytes"
	"encoding/json"
	"strings"
)

// parsed reads JSON with numbers as they are written.
func parsed(body []byte) (any, bool) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	return v, dec.Decode(&v) == nil
}

// at walks down keys of objects, separated by dots; the empty path is the value itself.
func at(v any, path string) any {
	if path == "" {
		return v
	}
	for key := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

// text is a text or a number as text.
func text(v any) (string, bool) {
	switch x := v.(type) {
	case string:
		return x, x != ""
	case json.Number:
		return x.String(), true
	}
	return "", false
}

func textAt(body []byte, path string) (string, bool) {
	v, ok := parsed(body)
	if !ok {
		return "", false
	}
	return text(at(v, path))
}

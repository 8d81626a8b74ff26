package open

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// dice is a small generator of numbers for one operation: the same operation draws the same values in every run with the
// same seed, and no two goroutines share state. SplitMix64 (Steele, Lea, Flood 2014).
type dice uint64

func roll(seed uint64, k int64) dice { return dice(seed + uint64(k)*0xd1342543de82ef95) }

func (d *dice) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit is in [0, 1).
func (d *dice) unit() float64 { return float64(d.next()>>11) / (1 << 53) }

// Template is a text with places that every operation fills anew: {n} (its number), {run}, {int:1:100} and
// {float:-58.5:-58.3} (evenly drawn, both ends included for whole numbers).
type Template struct {
	parts []part
}

type part struct {
	text   string
	kind   byte // t, n, i, f
	lo, hi float64
}

// ParseTemplate reads a template. Braces that are not a place, as in JSON, stay as they are.
func ParseTemplate(s, run string) (Template, error) {
	place := regexp.MustCompile(`\{(n|run|(?:int|float):([^{}:]*):([^{}:]*))\}`)
	var t Template
	text := func(s string) {
		if s != "" {
			t.parts = append(t.parts, part{kind: 't', text: s})
		}
	}
	end := 0
	for _, m := range place.FindAllStringSubmatchIndex(s, -1) {
		text(s[end:m[0]])
		end = m[1]
		switch word := s[m[2]:m[3]]; word {
		case "n":
			t.parts = append(t.parts, part{kind: 'n'})
		case "run":
			text(run)
		default:
			p := part{kind: word[0]}
			var err1, err2 error
			p.lo, err1 = strconv.ParseFloat(s[m[4]:m[5]], 64)
			p.hi, err2 = strconv.ParseFloat(s[m[6]:m[7]], 64)
			whole := p.lo == float64(int64(p.lo)) && p.hi == float64(int64(p.hi))
			if err1 != nil || err2 != nil || p.hi < p.lo || p.kind == 'i' && !whole {
				return t, fmt.Errorf("%q: want two numbers, the lower first, such as {int:1:100} or {float:-58.5:-58.3}", "{"+word+"}")
			}
			t.parts = append(t.parts, p)
		}
	}
	text(s[end:])
	return t, nil
}

// fixed tells whether the text is the same for every operation.
func (t Template) fixed() bool {
	return len(t.parts) == 0 || len(t.parts) == 1 && t.parts[0].kind == 't'
}

// fill is the text for operation k.
func (t Template) fill(k int64, d *dice) string {
	if t.fixed() && len(t.parts) == 1 {
		return t.parts[0].text
	}
	var b strings.Builder
	for _, p := range t.parts {
		switch p.kind {
		case 't':
			b.WriteString(p.text)
		case 'n':
			b.WriteString(strconv.FormatInt(k, 10))
		case 'i':
			b.WriteString(strconv.FormatInt(int64(p.lo)+int64(d.unit()*(p.hi-p.lo+1)), 10))
		case 'f':
			b.WriteString(strconv.FormatFloat(p.lo+d.unit()*(p.hi-p.lo), 'f', 6, 64))
		}
	}
	return b.String()
}

// choice picks operations by weight.
type choice []float64 // cumulated

func newChoice(weights []float64) choice {
	var sum float64
	var c choice
	for _, w := range weights {
		sum += max(w, 0)
		c = append(c, sum)
	}
	return c
}

func (c choice) pick(d *dice) int {
	if len(c) == 1 {
		return 0
	}
	x := d.unit() * c[len(c)-1]
	for i, edge := range c {
		if x < edge {
			return i
		}
	}
	return len(c) - 1
}

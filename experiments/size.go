package experiments

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is in bytes, written "64MiB" or "1.5GiB" in files.
type Size int64

// UnmarshalText reads a number with its unit: KiB, MiB or GiB.
func (s *Size) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	for _, u := range []struct {
		unit  string
		shift int
	}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}} {
		number, ok := strings.CutSuffix(text, u.unit)
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if ok && err == nil && v > 0 && v < 1<<20 {
			*s = Size(v * float64(int64(1)<<u.shift))
			return nil
		}
	}
	return fmt.Errorf("%q is not a size such as 64MiB or 1.5GiB", b)
}

// MarshalText writes it in MiB, or KiB where that would lose something.
func (s Size) MarshalText() ([]byte, error) {
	if s%(1<<20) == 0 {
		return fmt.Appendf(nil, "%dMiB", s>>20), nil
	}
	return []byte(strconv.FormatFloat(float64(s)/1024, 'f', -1, 64) + "KiB"), nil
}

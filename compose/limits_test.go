package compose

import "testing"

func TestSoftLimit(t *testing.T) {
	const limits = "Limit                     Soft Limit           Hard Limit           Units     \nMax processes             unlimited            unlimited            processes \nMax open files            1024                 20000                files     \n"
	for name, want := range map[string]int64{"Max open files": 1024, "Max processes": 0, "Max pigs": 0} {
		if got := softLimit(limits, name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

package bus

import (
	"testing"
)

func TestElect(t *testing.T) {
	t.Parallel()
	old, fresh, reset := answer{"redis-1:6379", 3}, answer{"redis-2:6379", 4}, answer{"redis-3:6379", 0}
	for name, tc := range map[string]struct {
		now     answer
		answers []answer
		want    answer
		changes bool
	}{
		"first answer is taken":                         {answer{}, []answer{old}, old, true},
		"first answer at epoch 0 is taken":              {answer{}, []answer{reset}, reset, true},
		"nobody answers":                                {old, nil, old, false},
		"nothing new":                                   {old, []answer{old, old, old}, old, false},
		"one Sentinel already knows the new master":     {old, []answer{old, fresh, old}, fresh, true},
		"one Sentinel on the wrong side is out of date": {fresh, []answer{old, fresh, fresh}, fresh, false},
		"only the one on the wrong side answers":        {fresh, []answer{old}, fresh, false},
		"two out of date of three are believed":         {fresh, []answer{old, old}, old, true},
		"rebuilt Sentinels begin at epoch 0":            {fresh, []answer{reset, reset, reset}, reset, true},
		"a newer epoch with the same master":            {old, []answer{{"redis-1:6379", 5}}, answer{"redis-1:6379", 5}, true},
		"same epoch, two opinions: the majority":        {answer{}, []answer{old, {"redis-9:6379", 3}, {"redis-9:6379", 3}}, answer{"redis-9:6379", 3}, true},
		"same epoch, a minority's other opinion":        {old, []answer{{"redis-9:6379", 3}}, answer{"redis-9:6379", 3}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, changes := elect(tc.now, tc.answers, 3)
			if changes != tc.changes || (changes && got != tc.want) {
				t.Errorf("elect = %v, %v; want %v, %v", got, changes, tc.want, tc.changes)
			}
		})
	}
}

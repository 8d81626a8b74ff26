package scenario

import (
	"slices"
	"strings"
)

// didYouMean is the hint for a word that is not in the list: the nearest one when it is near, else the whole list.
func didYouMean(word string, known []string) string {
	if best := nearest(word, known); best != "" {
		return "did you mean " + best + "?"
	}
	return oneOf(known)
}

func oneOf(known []string) string {
	switch len(known) {
	case 0:
		return "there are none"
	case 1:
		return "it can only be " + known[0]
	}
	list := slices.Sorted(slices.Values(known))
	return "one of " + strings.Join(list, ", ")
}

// nearest finds the known word within a third of the length in edits, "" when there is none.
func nearest(word string, known []string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		d := distance(strings.ToLower(word), k)
		if len(word) >= 3 && strings.HasPrefix(k, strings.ToLower(word)) {
			d = 1 // prod means production
		}
		if d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of single-letter edits (swaps of neighbours count once) between two words.
func distance(a, b string) int {
	if max(len(a), len(b)) > 64 { // nobody's typo; keeps hostile files cheap
		return 64
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		old, prev, cur := rows[0], rows[1], rows[2]
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], old[j-2]+1)
			}
		}
		rows = [3][]int{prev, cur, old}
	}
	return rows[1][len(b)]
}

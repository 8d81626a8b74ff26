package drills

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// judgeConsistency judges a register's history where the drill asks for it. What could not be decided is not met nor missed.
func (f *folder) judgeConsistency(now time.Time) []Judged {
	x := f.drill.Expect.Consistency
	if x == nil {
		return nil
	}
	j := Judged{
		ID: "consistency:" + x.Canary, Title: "the history of " + x.Canary + " is " + x.AtLeast, Target: x.AtLeast, Cause: "consistency",
		Verdict: NotMeasured, Actual: "not measured",
	}
	if !now.IsZero() {
		j.Verdict = Pending
		return []Judged{j}
	}
	i := slices.IndexFunc(f.rec.Registers, func(r RegisterMeasured) bool { return r.Name == x.Canary })
	if i < 0 || f.rec.Registers[i].Error != "" {
		j.Why = "the register was not measured"
		return []Judged{j}
	}
	r := f.rec.Registers[i]
	j.Actual, j.Evidence = fmt.Sprintf("%s (%d reads, %d writes)", r.Verdict, r.Reads, r.Writes), r.Picture
	switch r.Verdict {
	case Linearizable:
		j.Verdict = Met
	case NotExplicable:
		j.Verdict, j.Why = NotMet, strings.Join(r.Unexplained, "; ")
	case NotDecided:
		j.Verdict, j.Why = Unclear, "the checker did not decide within "+r.Limit.String()
	}
	return []Judged{j}
}

// register says what a register's history shows.
func (f *folder) register(r RegisterMeasured) {
	if r.Error != "" {
		f.find("register:"+r.Name, SeverityWarning, "The registers of "+r.Name+" were not measured", r.Error)
		return
	}
	history := fmt.Sprintf("%d reads and %d writes of %d registers by %d clients, %d without an answer", r.Reads, r.Writes, r.Registers, r.Clients, r.Indeterminate)
	picture := ""
	if r.Picture != "" {
		picture = fmt.Sprintf(" Picture: raw/%s (sha256 %s).", r.Picture, r.PictureSHA256[:min(12, len(r.PictureSHA256))])
	}
	switch r.Verdict {
	case Linearizable:
		f.find("register:"+r.Name, SeverityInfo, "The history of "+r.Name+" is linearizable", history+"."+picture)
	case NotExplicable:
		f.find("register:"+r.Name, SeveritySerious, fmt.Sprintf("No order explains what %d of %d registers of %s answered", len(r.Illegal), r.Registers, r.Name),
			strings.Join(r.Unexplained, " ")+" In all: "+history+"."+picture)
	case NotDecided:
		f.find("register:"+r.Name, SeverityWarning, fmt.Sprintf("Whether the history of %s is linearizable was not decided within %s", r.Name, r.Limit), history+"."+picture)
	}
}

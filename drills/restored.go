package drills

import "time"

// RestoreMeasured is one restore of a backup into an empty, isolated instance: what was found, how long each part took, and
// how the restored data compare with the live system's. It is journaled when the restore has ended, well or not.
type RestoreMeasured struct {
	Step   string          `json:"step"`
	Image  string          `json:"image"` // what the instance was made from
	Asked  time.Time       `json:"asked"` // the clock starts: nothing is there yet
	Ended  time.Time       `json:"ended"` // every check has been answered, or it was given up
	Phases []RestorePhase  `json:"phases"`
	Backup *BackupFound    `json:"backup,omitempty"`
	Until  *time.Time      `json:"until,omitempty"` // the chosen instant; nil: as far as the backup reaches
	Point  *Interval       `json:"point,omitempty"` // the state of the restored data lies in here
	Source string          `json:"point_source,omitempty"`
	Checks []RestoredCheck `json:"checks,omitempty"`
	Cause  string          `json:"cause,omitempty"` // slug: why nothing (good) came of it, as the system's failure
	Why    string          `json:"why,omitempty"`   // the same as a sentence
	Error  string          `json:"error,omitempty"` // our own failure: nothing can be said of the backup
}

// Took is the time from the asking to the last check's answer.
func (m RestoreMeasured) Took() Duration { return Duration(m.Ended.Sub(m.Asked)) }

// Done tells whether the instance was restored and every check was answered.
func (m RestoreMeasured) Done() bool { return m.Cause == "" && m.Error == "" }

// RestorePhase is one part of a restore: fetch, restore, replay, first-answer, checks.
type RestorePhase struct {
	Name string    `json:"name"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// BackupFound is the newest backup, as its files are.
type BackupFound struct {
	File    string    `json:"file"`
	Size    int64     `json:"size"`
	Written time.Time `json:"written"` // last change of the file
	SHA256  string    `json:"sha256,omitempty"`
	Stated  string    `json:"stated,omitempty"` // by the checksum file
	Copies  int       `json:"copies"`           // how many backups are there in all
}

// RestoredCheck is one question that the restored instance answered.
type RestoredCheck struct {
	Name string   `json:"name"`
	Want string   `json:"want"`
	Got  string   `json:"got"`
	Live bool     `json:"live,omitempty"` // Want is the live system's answer
	OK   bool     `json:"ok"`
	Why  string   `json:"why,omitempty"`
	Took Duration `json:"took"`
}

// RestoreExpect bounds a restore step.
type RestoreExpect struct {
	Step          string   `json:"step" yaml:"step"`
	Within        Duration `json:"within" yaml:"within"`                           // from the asking to the last check
	RecoveryPoint Duration `json:"recovery-point,omitempty" yaml:"recovery-point"` // between the restored state and T0
	Instant       Duration `json:"instant,omitempty" yaml:"instant"`               // between the restored state and the chosen instant
	Checks        string   `json:"checks,omitempty" yaml:"checks"`                 // all (default): every check must hold
}

package drills

// BackupPlace is where a component's backups lie, and what a good one looks like. The doctor looks at it from an isolated
// container made from a member's image, which only reads.
type BackupPlace struct {
	Volumes   []VolumeToRead `json:"volumes" yaml:"volumes"`
	Files     string         `json:"files" yaml:"files"`                       // glob; the file that was written last is the newest backup
	MinSize   int64          `json:"min-size,omitempty" yaml:"min-size"`       // bytes; default 1: an empty file is no backup
	MaxAge    Duration       `json:"max-age" yaml:"max-age"`                   // of the newest one
	WAL       string         `json:"wal,omitempty" yaml:"wal"`                 // folder of the WAL archive, to be without holes
	WALMaxAge Duration       `json:"wal-max-age,omitempty" yaml:"wal-max-age"` // since anything was written to it; as a rule the RPO
}

// Copies says where else the backups are, for the rule of 3-2-1: three copies with the live data, on two kinds of media, one of
// them elsewhere. What is stated here was not looked at.
type Copies struct {
	Media  string `json:"media,omitempty" yaml:"media"` // that the backups themselves lie on; default disk
	Others []Copy `json:"others,omitempty" yaml:"others"`
	Gap    string `json:"gap,omitempty" yaml:"gap"` // it is known that the rule is not kept, and why that is accepted
}

// Copy is one further copy of the backups.
type Copy struct {
	At        string `json:"at" yaml:"at"`       // where, in words
	Media     string `json:"media" yaml:"media"` // such as disk, tape or object-store
	Elsewhere bool   `json:"elsewhere,omitempty" yaml:"elsewhere"`
}

// BackupState is what was found at a BackupPlace. Cause is a slug, Why a clause; both are empty where all is well.
type BackupState struct {
	Newest  *BackupFound `json:"newest,omitempty"`
	Cause   string       `json:"cause,omitempty"`
	Why     string       `json:"why,omitempty"`
	WAL     string       `json:"wal,omitempty"`      // what is there
	WALHole string       `json:"wal_hole,omitempty"` // what is missing or too old
}

package load

import "time"

// tally is what one share of the connections counted since its last tally. Times are ns of CLOCK_MONOTONIC.
type tally struct {
	Upto int64 `json:"upto"` // everything that happened before is in this tally or an earlier one
	Open int   `json:"open"` // connections open and subscribed at its beginning
	// Steps are what changed since, in order; the ramp itself has none, because nothing is published before it is over.
	Steps  []step `json:"steps,omitempty"`
	Ramped bool   `json:"ramped,omitempty"` // every connection was tried
	First  int64  `json:"first,omitempty"`  // the first connection was held; zero: none was

	Got        [][2]int64 `json:"got,omitempty"` // message number, arrivals
	Duplicated int64      `json:"duplicated,omitempty"`
	Reordered  int64      `json:"reordered,omitempty"`
	Failed     int64      `json:"failed,omitempty"` // attempts, of the target's making
	Drops      int64      `json:"drops,omitempty"`
	Cut        int64      `json:"cut,omitempty"` // connections that we reset ourselves
	Reconnects int64      `json:"reconnects,omitempty"`
	Sockets    int64      `json:"sockets,omitempty"` // attempts that failed for want of something of ours
	Tokens     int64      `json:"tokens,omitempty"`  // attempts that failed because our token was not accepted

	Delivery   cells          `json:"delivery,omitempty"` // due to read
	Arrival    cells          `json:"arrival,omitempty"`  // due to the kernel's stamp
	Lag        cells          `json:"lag,omitempty"`      // the kernel's stamp to read: our own part
	Connecting cells          `json:"connecting,omitempty"`
	Errors     map[string]int `json:"errors,omitempty"`

	// Of a process of its own: what it has used so far.
	CPU  time.Duration `json:"cpu,omitempty"`
	RSS  int64         `json:"rss,omitempty"`
	PSS  int64         `json:"pss,omitempty"`
	Busy int           `json:"busy,omitempty"` // seconds with its thread used up
	Note string        `json:"note,omitempty"` // about how it ran
}

// step is a change: at which time, and what (+1 opened, -1 ended, 0 an attempt that failed).
type step struct {
	At   int64 `json:"t"`
	What int   `json:"d,omitempty"`
}

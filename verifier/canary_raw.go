package verifier

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// CanarySchema is the version of a canary's raw file: CSV with one comment line "# {json}" (a CanaryMeta), a header line
// and rows of
//
//	row      write | arrival | link | read | member | purge
//	seq      write, arrival: its number
//	send_ns  write: CLOCK_MONOTONIC when sent; read: when reading back began
//	ack_ns   write: when it was acknowledged or given up; arrival: when a client had the message; link: when a client's
//	         connection stood or broke; read: when reading back ended
//	outcome  write: ok | indeterminate (sent, no answer) | unsent (we were stuck) | failed:CLASS (refused before any effect) |
//	         throttled (refused because of a rate limit; says nothing of the system);
//	         arrival: ok | altered (not what was sent); link: up | down; purge: ok | failed
//	text     write: where it was stored (a stream entry's id, a WAL position, a row's id), what a register's read was answered, or why it was not ok; read: the primary's
//	         walHistory as JSON, where it has one; member: a Holding as JSON; purge: the proof; link: why it broke
//	server   write: who acknowledged it, where that is known; arrival, link: which client
const CanarySchema = "simulacro.canary/v1"

var canaryColumns = [...]string{"row", "seq", "send_ns", "ack_ns", "outcome", "text", "server"} //nolint:gochecknoglobals // a constant that Go cannot write as one

// CanaryMeta is what the rows do not say.
type CanaryMeta struct {
	Schema     string          `json:"schema"`
	Name       string          `json:"name"`
	Run        string          `json:"run"`
	Kind       string          `json:"kind"`
	Place      string          `json:"place"`
	Connection string          `json:"connection"`
	Every      drills.Duration `json:"every"`
	Timeout    drills.Duration `json:"timeout"`
	Namespace  string          `json:"namespace"`           // keys or table
	Registers  int             `json:"registers,omitempty"` // of a register canary: with the number of an operation they say what it was
	Clients    int             `json:"clients,omitempty"`
	Receivers  []string        `json:"receivers,omitempty"` // the clients of a websocket canary
	Mono       int64           `json:"mono_ns"`
	Wall       time.Time       `json:"wall"`
	Realtime   bool            `json:"realtime"`
}

func (m CanaryMeta) clock() drills.Clock { return drills.Clock{Mono: m.Mono, Wall: m.Wall} }

// ledgerWriter writes a canary's raw file.
type ledgerWriter struct {
	out io.WriteCloser
	buf *bufio.Writer
	csv *csv.Writer
}

func newLedgerWriter(out io.WriteCloser, m CanaryMeta) (*ledgerWriter, error) {
	w := &ledgerWriter{out: out, buf: bufio.NewWriter(out)}
	w.csv = csv.NewWriter(w.buf)
	head, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(w.buf, "# %s\n", head); err != nil {
		return nil, err
	}
	return w, w.csv.Write(canaryColumns[:])
}

func (w *ledgerWriter) write(s Sample) error {
	text, server := s.Text, ""
	if s.Class == Good {
		text, server = s.Position, s.Text
	}
	return w.csv.Write([]string{"write", itoa(s.Seq), itoa(s.Send), itoa(s.Done), outcomeWord(s.Class), text, server})
}

func (w *ledgerWriter) arrival(a arrival, client string) error {
	word := "ok"
	if a.altered {
		word = "altered"
	}
	return w.csv.Write([]string{"arrival", itoa(a.seq), "", itoa(a.at), word, "", client})
}

func (w *ledgerWriter) link(l link, client string) error {
	word := "down"
	if l.Up {
		word = "up"
	}
	return w.csv.Write([]string{"link", "", "", itoa(l.At), word, l.Why, client})
}

func (w *ledgerWriter) back(h holdings) error {
	history := ""
	if h.History != nil {
		b, err := json.Marshal(h.History)
		if err != nil {
			return err
		}
		history = string(b)
	}
	err := w.csv.Write([]string{"read", "", itoa(h.From), itoa(h.To), "", history, ""})
	for _, m := range h.Members {
		b, jerr := json.Marshal(m)
		err = errors.Join(err, jerr, w.csv.Write([]string{"member", "", "", "", "", string(b), ""}))
	}
	return err
}

func (w *ledgerWriter) purge(p purged) error {
	word := "failed"
	if p.OK {
		word = "ok"
	}
	return w.csv.Write([]string{"purge", "", "", "", word, p.Proof, ""})
}

func (w *ledgerWriter) flush() error {
	w.csv.Flush()
	return errors.Join(w.csv.Error(), w.buf.Flush())
}

func (w *ledgerWriter) close() error { return errors.Join(w.flush(), w.out.Close()) }

func outcomeWord(c Class) string {
	switch c {
	case Good:
		return "ok"
	case Timeout:
		return "indeterminate"
	case Observer:
		return "unsent"
	case Throttled:
		return "throttled"
	}
	return "failed:" + c.String()
}

func outcomeClass(word string) (Class, error) {
	for c := Good; c < classes; c++ {
		if outcomeWord(c) == word {
			return c, nil
		}
	}
	return 0, fmt.Errorf("%q is not a write's outcome", word)
}

// ReadLedger reads a canary's raw file.
func ReadLedger(r io.Reader) (*Ledger, error) {
	in := bufio.NewReader(r)
	l := &Ledger{}
	if err := readMeta(in, CanarySchema, &l.Meta, func() string { return l.Meta.Schema }); err != nil {
		return nil, err
	}
	return l, eachRow(in, canaryColumns[:], l.row)
}

func (l *Ledger) row(f []string) error {
	switch f[0] {
	case "write":
		var s Sample
		c, err := outcomeClass(f[4])
		if err == nil {
			err = parseInts(f[1:4], &s.Seq, &s.Send, &s.Done)
		}
		if s.Class = c; c == Good {
			s.Position, s.Text = f[5], f[6]
		} else {
			s.Text = f[5]
		}
		l.Writes = append(l.Writes, s)
		return err
	case "arrival":
		a := arrival{client: slices.Index(l.Meta.Receivers, f[6]), altered: f[4] == "altered"}
		err := parseInts([]string{f[1], f[3]}, &a.seq, &a.at)
		l.Arrivals = append(l.Arrivals, a)
		return errors.Join(err, l.isClient(a.client))
	case "link":
		x := link{Client: slices.Index(l.Meta.Receivers, f[6]), Up: f[4] == "up", Why: f[5]}
		err := parseInts(f[3:4], &x.At)
		l.Links = append(l.Links, x)
		return errors.Join(err, l.isClient(x.Client))
	case "read":
		l.Back = &holdings{}
		err := parseInts(f[2:4], &l.Back.From, &l.Back.To)
		if err == nil && f[5] != "" {
			err = json.Unmarshal([]byte(f[5]), &l.Back.History)
		}
		return err
	case "member":
		if l.Back == nil {
			return errors.New("a member before the read row")
		}
		var h Holding
		err := json.Unmarshal([]byte(f[5]), &h)
		l.Back.Members = append(l.Back.Members, h)
		return err
	case "purge":
		l.Purge = &purged{OK: f[4] == "ok", Proof: f[5]}
		return nil
	}
	return fmt.Errorf("no row of kind %q", f[0])
}

// MeasureCanary computes what the record says of a canary from its raw file and the run's times, SHA256 included; Raw
// and the error of an agent that died are the caller's.
func MeasureCanary(raw io.Reader, t drills.Timing) (drills.CanaryMeasured, error) {
	in, digest := digesting(raw)
	l, err := ReadLedger(in)
	if err != nil {
		return drills.CanaryMeasured{}, err
	}
	m := l.Settle(t)
	m.SHA256 = digest()
	return m, nil
}

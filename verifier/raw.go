package verifier

import (
	"bufio"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// ProbeSchema is the version of a probe's raw file. The file is CSV: one comment line "# {json}" that holds a ProbeMeta,
// a header line, then one line per probe in the order in which they ended:
//
//	seq      slot of the absolute schedule (due = phase + seq × every); a hole is a slot the prober missed
//	due_ns   CLOCK_MONOTONIC when it should have been sent
//	send_ns  CLOCK_MONOTONIC when it was sent
//	done_ns  CLOCK_MONOTONIC when the answer came or we gave up
//	class    good | slow | failed | refused | timeout | throttled | unauthorised | malformed | observer
//	text     why it was not good
//	origin   empty for a slot of the schedule; burst for a probe in quick succession after a failed one (seq counts down
//	         from -1); cut for the moment done_ns at which the idle connection that was opened at send_ns broke
const ProbeSchema = "simulacro.probe/v2"

// probeSchema1 is the version without origins, which is still read.
const probeSchema1 = "simulacro.probe/v1"

var probeColumns = [...]string{"seq", "due_ns", "send_ns", "done_ns", "class", "text", "origin"} //nolint:gochecknoglobals // a constant that Go cannot write as one

// ProbeMeta is all that is needed, beside the samples and the settle window, to compute ProbeMeasured.
type ProbeMeta struct {
	Schema   string          `json:"schema"`
	Name     string          `json:"name"`
	Kind     string          `json:"kind"`
	Place    string          `json:"place"`
	Every    drills.Duration `json:"every"`
	Timeout  drills.Duration `json:"timeout"`
	Slow     drills.Duration `json:"slow,omitempty"`
	Settle   drills.Duration `json:"settle"`
	Share    float64         `json:"share,omitempty"`
	Mono     int64           `json:"mono_ns"` // read together with Wall: wall = Wall + (stamp - Mono)
	Wall     time.Time       `json:"wall"`
	Realtime bool            `json:"realtime"`
	Burst    drills.Duration `json:"burst,omitempty"`    // period of probes in quick succession; zero: none
	Tripwire bool            `json:"tripwire,omitempty"` // an idle connection was held
}

func (m ProbeMeta) clock() drills.Clock { return drills.Clock{Mono: m.Mono, Wall: m.Wall} }

// rawWriter writes one probe's raw file.
type rawWriter struct {
	out io.WriteCloser
	buf *bufio.Writer
	csv *csv.Writer
}

func newRawWriter(out io.WriteCloser, m ProbeMeta) (*rawWriter, error) {
	w := &rawWriter{out: out, buf: bufio.NewWriter(out)}
	w.csv = csv.NewWriter(w.buf)
	head, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(w.buf, "# %s\n", head); err != nil {
		return nil, err
	}
	return w, w.csv.Write(probeColumns[:])
}

func (w *rawWriter) add(s Sample) error {
	return w.csv.Write([]string{itoa(s.Seq), itoa(s.Due), itoa(s.Send), itoa(s.Done), s.Class.String(), s.Text, s.Origin.String()})
}

// flush hands everything to the file.
func (w *rawWriter) flush() error {
	w.csv.Flush()
	return errors.Join(w.csv.Error(), w.buf.Flush())
}

func (w *rawWriter) close() error { return errors.Join(w.flush(), w.out.Close()) }

func itoa(v int64) string { return strconv.FormatInt(v, 10) }

// ReadRaw reads a probe's raw file.
func ReadRaw(r io.Reader) (ProbeMeta, []Sample, error) {
	in := bufio.NewReader(r)
	var m ProbeMeta
	if err := readMeta(in, ProbeSchema, &m, func() string { return m.Schema }, probeSchema1); err != nil {
		return m, nil, err
	}
	columns := probeColumns[:]
	if m.Schema == probeSchema1 {
		columns = columns[:len(columns)-1]
	}
	var out []Sample
	err := eachRow(in, columns, func(f []string) error {
		var s Sample
		var err error
		if s.Class, err = ParseClass(f[4]); err != nil {
			return err
		}
		if len(f) > 6 {
			if s.Origin, err = parseOrigin(f[6]); err != nil {
				return err
			}
		}
		s.Text = f[5]
		out = append(out, s)
		return parseInts(f[:4], &out[len(out)-1].Seq, &out[len(out)-1].Due, &out[len(out)-1].Send, &out[len(out)-1].Done)
	})
	return m, out, err
}

func readMeta(in *bufio.Reader, want string, into any, schema func() string, older ...string) error {
	line, err := in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("raw file has no first line: %w", err)
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "# ")), into); err != nil {
		return fmt.Errorf("first line of the raw file: %w", err)
	}
	if schema() != want && !slices.Contains(older, schema()) {
		return fmt.Errorf("raw file has schema %q, this version reads %q", schema(), want)
	}
	return nil
}

func eachRow(in io.Reader, columns []string, f func([]string) error) error {
	c := csv.NewReader(in)
	c.FieldsPerRecord = len(columns)
	head, err := c.Read()
	if err != nil || strings.Join(head, ",") != strings.Join(columns, ",") {
		return fmt.Errorf("raw file has columns %v, want %v", head, columns)
	}
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = f(row)
		}
		if err != nil {
			line, _ := c.FieldPos(0)
			return fmt.Errorf("raw file, row near line %d: %w", line+1, err)
		}
	}
}

func parseInts(fields []string, into ...*int64) error {
	for i, f := range fields {
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return err
		}
		*into[i] = v
	}
	return nil
}

// digesting hashes what is read through it.
func digesting(r io.Reader) (io.Reader, func() string) {
	h := sha256.New()
	return io.TeeReader(r, h), func() string { return hex.EncodeToString(h.Sum(nil)) }
}

package verifier

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/eevans-d/simulacro/drills"
)

// Reference values from R: qbinom(q, n, p).
func TestBinomialQuantile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n    int
		p, q float64
		want int
	}{
		{200, 0.005, 0.999, 5},
		{200, 0.001, 0.999, 3},
		{20, 0.005, 0.999, 2},
		{100, 0.5, 0.999, 65},
		{1000, 0.01, 0.999, 21},
		{0, 0.5, 0.999, 0},
		{10, 0, 0.999, 0},
		{10, 1, 0.999, 10},
	} {
		if got := binomialQuantile(c.n, c.p, c.q); got != c.want {
			t.Errorf("qbinom(%v, %d, %v) = %d, want %d", c.q, c.n, c.p, got, c.want)
		}
	}
}

func TestBinomialSumsToOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n, p := rapid.IntRange(1, 2000).Draw(rt, "n"), rapid.Float64Range(0.001, 0.999).Draw(rt, "p")
		sum := 0.0
		for k := 0; k <= n; k++ {
			sum += binomialPMF(n, k, p)
		}
		if math.Abs(sum-1) > 1e-9 {
			rt.Fatalf("sum %v", sum)
		}
		if q := binomialQuantile(n, p, 0.999); q < int(math.Floor(float64(n)*p)) || q > n {
			rt.Fatalf("quantile %d of n %d p %v", q, n, p)
		}
	})
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	v := []time.Duration{5, 1, 4, 2, 3}
	for q, want := range map[float64]time.Duration{0: 1, 0.2: 1, 0.5: 3, 0.95: 5, 1: 5} {
		if got := Quantile(v, q); got != want {
			t.Errorf("quantile %v = %v, want %v", q, got, want)
		}
	}
	if Quantile(nil, 0.5) != 0 {
		t.Error("quantile of nothing")
	}
}

func drawSamples(rt *rapid.T) []Sample {
	n := rapid.IntRange(0, 300).Draw(rt, "n")
	out := make([]Sample, n)
	at := testClock.Mono
	for i := range out {
		at += rapid.Int64Range(1, 1e9).Draw(rt, "step")
		out[i] = Sample{
			Seq: int64(i), Due: at - rapid.Int64Range(0, 1e6).Draw(rt, "late"), Send: at, Done: at + rapid.Int64Range(0, 1e9).Draw(rt, "took"),
			Origin: Origin(rapid.IntRange(0, int(origins)-1).Draw(rt, "origin")),
			Class:  Class(rapid.IntRange(0, int(classes)-1).Draw(rt, "class")), Text: rapid.SampledFrom([]string{"", "HTTP 503", "a, \"b\"\nc", "ü"}).Draw(rt, "text"),
		}
	}
	return out
}

// Nothing is lost or counted twice: the strip's cells, the classes and the samples agree.
func TestStripHoldsEverySample(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSamples(rt)
		total := summarise(s).count
		_, cells := strip(s)
		var sum drills.Bucket
		for _, c := range cells {
			sum.Good, sum.Bad, sum.Ours = sum.Good+c.Good, sum.Bad+c.Bad, sum.Ours+c.Ours
		}
		if sum.Good != total.Good || sum.Bad != total.Bad() || sum.Ours != total.Ours() || total.Total() != len(s) {
			rt.Fatalf("%+v, %+v, %d samples", sum, total, len(s))
		}
	})
}

// What is written to a raw file comes back, and is judged the same.
func TestRawRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSamples(rt)
		meta := ProbeMeta{
			Schema: ProbeSchema, Name: "p", Kind: "http", Place: "host", Every: drills.Duration(testPeriod), Timeout: ms(250),
			Settle: drills.Duration(time.Second), Mono: testClock.Mono, Wall: testClock.Wall, Realtime: true,
		}
		f := &memFile{}
		w, err := newRawWriter(f, meta)
		if err != nil {
			rt.Fatal(err)
		}
		for _, v := range s {
			if err := w.add(v); err != nil {
				rt.Fatal(err)
			}
		}
		if err := w.close(); err != nil {
			rt.Fatal(err)
		}
		gotMeta, got, err := ReadRaw(bytes.NewReader(f.b.Bytes()))
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(meta, gotMeta); diff != "" {
			rt.Fatal(diff)
		}
		if diff := cmp.Diff(s, got); len(s) > 0 && diff != "" {
			rt.Fatal(diff)
		}
		steady := drills.Interval{From: testClock.Wall, To: testClock.Wall.Add(time.Minute)}
		again, err := Measure(bytes.NewReader(f.b.Bytes()), steady)
		again.SHA256 = ""
		if diff := cmp.Diff(measure(meta, s, steady), again); err != nil || diff != "" {
			rt.Fatal(err, diff)
		}
	})
}

func TestReadRawRefusesOtherFiles(t *testing.T) {
	t.Parallel()
	const head = `# {"schema":"simulacro.probe/v1"}` + "\n"
	for name, text := range map[string]string{
		"empty": "", "other schema": `# {"schema":"simulacro.probe/v9"}` + "\n", "no json": "# x\n", "other columns": head + "a,b\n",
		"bad class":  head + "seq,due_ns,send_ns,done_ns,class,text\n1,1,1,1,splendid,\n",
		"bad origin": `# {"schema":"simulacro.probe/v2"}` + "\nseq,due_ns,send_ns,done_ns,class,text,origin\n1,1,1,1,good,,heaven\n",
		"bad number": head + "seq,due_ns,send_ns,done_ns,class,text\n1,x,1,1,good,\n",
		"torn":       head + "seq,due_ns,send_ns,done_ns,class,text\n1,1,1\n",
	} {
		if _, _, err := ReadRaw(bytes.NewBufferString(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Evidence of an older version can still be verified.
func TestReadRawOfVersionOne(t *testing.T) {
	t.Parallel()
	m, s, err := ReadRaw(strings.NewReader(`# {"schema":"simulacro.probe/v1","name":"p"}` + "\nseq,due_ns,send_ns,done_ns,class,text\n3,1,2,5,refused,nobody\n"))
	want := []Sample{{Seq: 3, Due: 1, Send: 2, Done: 5, Class: Refused, Text: "nobody"}}
	if diff := cmp.Diff(want, s); err != nil || diff != "" || m.Name != "p" {
		t.Errorf("%+v %v %s", m, err, diff)
	}
}

func TestEncoderRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSamples(rt)
		enc, dec := newEncoder(), newDecoder()
		var got []Sample
		for i, v := range s {
			enc.add(i%3, v)
			if i%7 == 0 || i == len(s)-1 {
				if err := dec.each(enc.take(), 3, func(_ int, v Sample) { got = append(got, v) }); err != nil {
					rt.Fatal(err)
				}
			}
		}
		if diff := cmp.Diff(s, got); len(s) > 0 && diff != "" {
			rt.Fatal(diff)
		}
	})
}

func TestEncoderBoundsItsTexts(t *testing.T) {
	t.Parallel()
	enc, dec := newEncoder(), newDecoder()
	for i := range 3 * maxTexts {
		enc.add(0, Sample{Seq: int64(i), Text: "text " + itoa(int64(i))})
	}
	last := ""
	if err := dec.each(enc.take(), 1, func(_ int, s Sample) { last = s.Text }); err != nil || last != "other" || len(dec.texts) > maxTexts+1 {
		t.Errorf("%v, %q, %d texts", err, last, len(dec.texts))
	}
	if err := dec.each(batch{Rows: [][8]int64{{5, 0, 0, 0, 0, 0, 0, 0}}}, 1, func(int, Sample) {}); err == nil {
		t.Error("a row of a probe that does not exist was taken")
	}
}

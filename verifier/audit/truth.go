package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// TruthInput is what a comparison with the truth needs.
type TruthInput struct {
	Truth drills.Truth
	// Ask evaluates PromQL now and returns one value per series; none is no data.
	Ask func(ctx context.Context, promql string) ([]float64, error)
	// Do has a witness of ours do something, and says what it has done since it began.
	Do func(context.Context, drills.Deed) (drills.Tally, error)
	// Fresh is how long Prometheus may take until it has a newer sample; default 45 s.
	Fresh time.Duration
}

const (
	freshWithin = 45 * time.Second // three scrapes of the usual 15 s
	freshPoll   = 250 * time.Millisecond
)

// Truth does a little by a witness of ours and compares what the monitoring says of it. It takes six samples of each series:
// two before anything is done and two afterwards, so that it is known what others do, one while the connections are held, and
// one when some of them were replaced and the messages have arrived. One diagnosis per number.
func Truth(ctx context.Context, in TruthInput) []drills.Diagnosis {
	t := &truth{TruthInput: in}
	if t.Fresh <= 0 {
		t.Fresh = freshWithin
	}
	if err := t.act(ctx); err != nil {
		return []drills.Diagnosis{{
			Part: part, What: "numbers against the truth", Level: drills.LevelNotChecked, Topic: drills.TopicSources, Found: err.Error(),
			Why: "what the monitoring counts was not compared with what was really done", Mend: "mend what is said here and ask again",
		}}
	}
	var out []drills.Diagnosis
	for _, m := range in.Truth.Metrics {
		d := t.judge(m)
		d.Part, d.What, d.Topic = part, fmt.Sprintf("truth of %s (%s)", m.Metric, m.Is), drills.TopicSources
		out = append(out, d)
	}
	return out
}

// The samples that are taken, in their order.
const (
	early = iota
	before
	holding
	worked
	after
	late
	samples
)

// sample is what Prometheus had of every selector at one time. A selector without series is not in it.
type sample struct {
	now    float64            // Prometheus' own clock, Unix seconds
	at     map[string]float64 // by that clock, when the oldest of the series was scraped
	values map[string]float64
	oldest map[string]float64 // the smallest of the series
}

type truth struct {
	TruthInput
	taken [samples]sample
	tally drills.Tally
}

// act does everything in turn and takes the samples between.
func (t *truth) act(ctx context.Context) error {
	for i, deeds := range [samples][]drills.Deed{{}, {}, {drills.DeedOpen}, {drills.DeedPublish, drills.DeedReopen}, {drills.DeedShut}, {}} {
		for _, d := range deeds {
			tally, err := t.Do(ctx, d)
			if err != nil {
				return err
			}
			t.tally = tally
			if d == drills.DeedOpen && tally.Held == 0 {
				return errors.New("no connection could be held")
			}
		}
		s, err := t.sample(ctx)
		if err != nil {
			return err
		}
		t.taken[i] = s
	}
	if t.tally.Broken > 0 {
		return fmt.Errorf("%d of our connections broke meanwhile: a member was restarted, or drops them", t.tally.Broken)
	}
	return nil
}

// sample waits until Prometheus has a sample of every series that was taken after now, by its own clock, and reads them. A
// selector that nothing answers to is left out: it may appear later, or never.
func (t *truth) sample(ctx context.Context) (sample, error) {
	mark, err := t.number(ctx, "time()")
	if err != nil {
		return sample{}, fmt.Errorf("Prometheus does not say what time it is: %w", err) //nolint:staticcheck // a name
	}
	s := sample{at: map[string]float64{}, values: map[string]float64{}, oldest: map[string]float64{}}
	end := time.Now().Add(t.Fresh)
	for _, sel := range t.Truth.Selectors() {
		for {
			at, err := t.number(ctx, "min(timestamp("+sel+"))")
			if errors.Is(err, errNoData) || err == nil && at > mark {
				s.at[sel] = at
				break
			}
			if err != nil {
				return s, err
			}
			if time.Now().After(end) || !drills.Wait(ctx, freshPoll) {
				return s, fmt.Errorf("Prometheus had no newer sample of %s after %s", sel, t.Fresh) //nolint:staticcheck // a name
			}
		}
		if err := t.read(ctx, sel, &s); err != nil {
			return s, err
		}
	}
	s.now, err = t.number(ctx, "time()")
	return s, err
}

func (t *truth) read(ctx context.Context, sel string, s *sample) error {
	for query, into := range map[string]map[string]float64{"sum(" + sel + ")": s.values, "min(" + sel + ")": s.oldest} {
		v, err := t.number(ctx, query)
		if errors.Is(err, errNoData) {
			continue
		}
		if err != nil {
			return err
		}
		into[sel] = v
	}
	return nil
}

var errNoData = errors.New("no data")

func (t *truth) number(ctx context.Context, promql string) (float64, error) {
	vs, err := t.Ask(ctx, promql)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", promql, err)
	}
	if len(vs) == 0 {
		return 0, errNoData
	}
	return vs[0], nil
}

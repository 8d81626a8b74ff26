package verifier

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/eevans-d/simulacro/drills"
)

// checkLimit is how long the checker may look for an order: the problem is NP-hard, though histories of a few clients at a
// low rate take milliseconds.
const checkLimit = 20 * time.Second

// registerState is what a register holds: 0 before the first write.
type registerState = int64

// registerModel is a set of registers that do not know of each other (porcupine checks each by itself, Horn and Kroening 2015).
func registerModel() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			by := map[int][]porcupine.Operation{}
			most := 0
			for _, o := range history {
				k := o.Input.(registerOp).register
				by[k] = append(by[k], o)
				most = max(most, k)
			}
			var out [][]porcupine.Operation
			for k := range most + 1 {
				if len(by[k]) > 0 {
					out = append(out, by[k])
				}
			}
			return out
		},
		Init: func() any { return registerState(0) },
		Step: func(state, input, output any) (bool, any) {
			if o := input.(registerOp); o.write {
				return true, o.value()
			}
			return state == output, state
		},
		DescribeOperation: func(input, output any) string {
			o := input.(registerOp)
			if o.write {
				return fmt.Sprintf("r%d := %d", o.register, o.value())
			}
			return fmt.Sprintf("r%d is %d", o.register, output)
		},
		DescribeState: func(state any) string { return fmt.Sprint(state) },
	}
}

// history turns a ledger into what the checker takes. What was refused had no effect and is left out, and so is a read without
// an answer. A write without one may take effect at any time after it was sent, so it never returns; where nobody read its
// value it explains nothing and can always be put at the end: it is left out, since every open operation doubles the work.
func (l *Ledger) history() ([]porcupine.Operation, error) {
	var out []porcupine.Operation
	read := map[int64]bool{}
	for _, w := range l.Writes {
		o := l.operation(w.Seq)
		if w.Class != Good {
			continue
		}
		op := porcupine.Operation{ClientId: o.client, Input: o, Call: w.Send, Output: registerState(0), Return: w.Done}
		if !o.write && w.Position != noValue {
			v, err := strconv.ParseInt(w.Position, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("operation %d read %q, which nobody wrote", w.Seq, w.Position)
			}
			op.Output = v
			read[v] = true
		}
		out = append(out, op)
	}
	for _, w := range l.Writes {
		if o := l.operation(w.Seq); w.Class == Timeout && o.write && read[o.value()] {
			out = append(out, porcupine.Operation{ClientId: o.client, Input: o, Call: w.Send, Output: registerState(0), Return: math.MaxInt64})
		}
	}
	return out, nil
}

func (l *Ledger) operation(seq int64) registerOp {
	return operation(seq, max(1, l.Meta.Clients), max(1, l.Meta.Registers))
}

// settleRegister checks the ledger of a register canary. Raw and SHA256 are the caller's. picture, where it is not nil, gets
// porcupine's page: every operation on one axis, and how far an order could be found.
func (l *Ledger) settleRegister(limit time.Duration, picture io.Writer) drills.RegisterMeasured {
	out := drills.RegisterMeasured{
		Name: l.Meta.Name, Kind: l.Meta.Kind, Place: l.Meta.Place, Connection: l.Meta.Connection, Every: l.Meta.Every,
		Registers: l.Meta.Registers, Clients: l.Meta.Clients, Verdict: drills.NotDecided, Limit: drills.Duration(limit),
	}
	if l.Purge != nil {
		out.Purged, out.PurgeProof = l.Purge.OK, l.Purge.Proof
	}
	for _, w := range l.Writes {
		switch {
		case w.Class == Good && l.operation(w.Seq).write:
			out.Writes++
		case w.Class == Good:
			out.Reads++
		case w.Class == Timeout:
			out.Indeterminate++
		case w.Class != Observer:
			out.Failed++
		}
	}
	ops, err := l.history()
	switch {
	case err != nil:
		out.Error = err.Error()
		return out
	case out.Writes == 0 || out.Reads == 0:
		out.Error = "no operation was answered: " + l.commonest()
		return out
	}
	verdict, info := porcupine.CheckOperationsVerbose(registerModel(), ops, limit)
	out.Verdict = map[porcupine.CheckResult]drills.Linearizability{
		porcupine.Ok: drills.Linearizable, porcupine.Illegal: drills.NotExplicable, porcupine.Unknown: drills.NotDecided,
	}[verdict]
	if out.Verdict == drills.NotExplicable {
		l.unexplained(&out, registerModel().Partition(ops), info.PartialLinearizationsOperations())
	}
	if picture != nil {
		if err := porcupine.Visualize(registerModel(), info, picture); err != nil {
			out.Error = "the picture could not be drawn: " + err.Error()
		}
	}
	return out
}

// unexplained names, per register without an order, the operation that returned first of those that the longest partial
// order does not hold.
func (l *Ledger) unexplained(out *drills.RegisterMeasured, parts [][]porcupine.Operation, partial [][][]porcupine.Operation) {
	for i, part := range parts {
		if i >= len(partial) || len(partial[i]) == 0 {
			continue
		}
		longest := slices.MaxFunc(partial[i], func(a, b []porcupine.Operation) int { return cmp.Compare(len(a), len(b)) })
		if len(longest) == len(part) {
			continue
		}
		in := map[int64]bool{}
		for _, o := range longest {
			in[o.Input.(registerOp).seq] = true
		}
		rest := slices.DeleteFunc(slices.Clone(part), func(o porcupine.Operation) bool { return in[o.Input.(registerOp).seq] })
		first := slices.MinFunc(rest, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
		out.Illegal = append(out.Illegal, first.Input.(registerOp).register)
		out.Unexplained = append(out.Unexplained, l.explain(first, part))
	}
}

// explain says in words what is wrong with an operation.
func (l *Ledger) explain(o porcupine.Operation, part []porcupine.Operation) string {
	at := func(ns int64) string { return l.Meta.clock().Time(ns).Format("15:04:05.000") }
	in := o.Input.(registerOp)
	if in.write {
		return fmt.Sprintf("The write of %d to register %d by client %d at %s fits in no order.", in.value(), in.register, in.client, at(o.Call))
	}
	text := fmt.Sprintf("Register %d read by client %d at %s%s was %d", in.register, in.client, at(o.Call), l.by(in.seq), o.Output)
	var newest *porcupine.Operation
	for i, w := range part {
		if w.Input.(registerOp).write && w.Return < o.Call && (newest == nil || w.Return > newest.Return) {
			newest = &part[i]
		}
		if x := w.Input.(registerOp); x.write && x.value() == o.Output {
			text += fmt.Sprintf(" (written at %s)", at(w.Call))
		}
	}
	if newest == nil || newest.Input.(registerOp).value() == o.Output {
		return text + ", which fits in no order."
	}
	w := newest.Input.(registerOp)
	return text + fmt.Sprintf(", though %d had been acknowledged at %s%s.", w.value(), at(newest.Return), l.by(w.seq))
}

// by names who answered an operation.
func (l *Ledger) by(seq int64) string {
	for _, w := range l.Writes {
		if w.Seq == seq && w.Class == Good && w.Text != "" {
			return " by " + l.nameOf(w.Text)
		}
	}
	return ""
}

// MeasureRegister checks a register's history again from its raw file; Raw, the picture and the error of an agent that died
// are the caller's.
func MeasureRegister(raw io.Reader) (drills.RegisterMeasured, error) {
	in, digest := digesting(raw)
	l, err := ReadLedger(in)
	if err != nil {
		return drills.RegisterMeasured{}, err
	}
	m := l.settleRegister(checkLimit, nil)
	m.SHA256 = digest()
	return m, nil
}

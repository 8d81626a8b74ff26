package audit

import (
	"slices"

	"github.com/VictoriaMetrics/metricsql"
)

// selector is one metric selector of an expression.
type selector struct {
	text   string // as PromQL
	metric string // "" when it is selected by other labels only
	job    string // value of an equality on job, if there is one
}

// comparison is `left op right` with a number on the right, wherever it stands in an expression of and, or and unless.
type comparison struct {
	left      string
	op        string
	threshold float64
}

// expression is what an alert rule's expression stands on. It is read with the grammar of MetricsQL, which takes in PromQL.
type expression struct {
	selectors   []selector
	comparisons []comparison
	divisors    []string // right-hand sides of divisions, as PromQL; constants left out
	absent      bool     // it looks for absence: no data makes it fire
	unguarded   bool     // some side has no comparison: any data makes it fire
}

func parse(promql string) (expression, error) {
	e, err := metricsql.Parse(promql)
	if err != nil {
		return expression{}, err
	}
	var x expression
	metricsql.VisitAll(e, x.visit)
	x.sides(e)
	return x, nil
}

func (x *expression) visit(e metricsql.Expr) {
	switch e := e.(type) {
	case *metricsql.MetricExpr:
		s := selectorOf(e)
		if !slices.Contains(x.selectors, s) {
			x.selectors = append(x.selectors, s)
		}
	case *metricsql.FuncExpr:
		x.absent = x.absent || e.Name == "absent" || e.Name == "absent_over_time"
	case *metricsql.BinaryOpExpr:
		if _, constant := e.Right.(*metricsql.NumberExpr); e.Op == "/" && !constant {
			x.divisors = append(x.divisors, text(e.Right))
		}
	}
}

func selectorOf(e *metricsql.MetricExpr) selector {
	s := selector{text: text(e)}
	for _, group := range e.LabelFilterss {
		for _, f := range group {
			if f.IsNegative || f.IsRegexp {
				continue
			}
			switch f.Label {
			case "__name__":
				s.metric = f.Value
			case "job":
				s.job = f.Value
			}
		}
	}
	return s
}

// sides collects the comparisons that decide whether there is a result.
func (x *expression) sides(e metricsql.Expr) {
	b, ok := e.(*metricsql.BinaryOpExpr)
	switch {
	case !ok:
		x.unguarded = true
	case slices.Contains([]string{"and", "or", "unless"}, b.Op):
		x.sides(b.Left)
		if b.Op != "unless" {
			x.sides(b.Right)
		}
	case slices.Contains([]string{">", ">=", "<", "<=", "==", "!="}, b.Op):
		if n, ok := b.Right.(*metricsql.NumberExpr); ok {
			x.comparisons = append(x.comparisons, comparison{left: text(b.Left), op: b.Op, threshold: n.N})
		}
	default:
		x.unguarded = true
	}
}

func text(e metricsql.Expr) string { return string(e.AppendString(nil)) }

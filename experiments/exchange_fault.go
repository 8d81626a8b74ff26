package experiments

import (
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper/between"
)

// ExchangeFault delays or breaks off a share of the exchanges between the targets and a dependency, whatever they speak: a
// database's protocol, or HTTP inside TLS. An exchange is what one side says until the other answers.
type ExchangeFault struct {
	Dependency `yaml:",inline"`
	Share      *Percent        `yaml:"share" json:"share,omitempty"` // default all
	Delay      drills.Duration `yaml:"delay" json:"delay,omitempty"` // of the answer
	Abort      string          `yaml:"abort" json:"abort,omitempty"` // reset, close, lose-answer
}

func exchangeFaultKind() drills.Kind {
	return exchangeKind("exchange-fault", "Delay or break off a share of the exchanges between a member and a dependency, whatever they speak",
		func() *ExchangeFault { return &ExchangeFault{Dependency: dependency()} })
}

// Validate checks the parameters.
func (f *ExchangeFault) Validate() error {
	if err := f.validate("exchange-fault"); err != nil {
		return err
	}
	if err := between.Validate(between.TCP, f.rules()); err != nil {
		return drills.Wrap(drills.Input, err, "exchange-fault", "for example `share: 25%` and `delay: 5s`")
	}
	return nil
}

func (f *ExchangeFault) rules() []between.Rule {
	return []between.Rule{{Share: shareOf(f.Share), Delay: f.Delay, Abort: f.Abort}}
}

// Plan puts a proxy into each target's path.
func (f *ExchangeFault) Plan(s drills.Scene) ([]drills.Change, error) {
	return onExchanges(s, "exchange-fault", f.Dependency, between.TCP, f.rules())
}

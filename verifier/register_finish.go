package verifier

import (
	"context"
	"fmt"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// RegisterPicture is the name of the page that shows a register canary's history.
func RegisterPicture(canary string) string { return "register-" + canary + ".html" }

// haltRegister ends the operations of a register canary. Its history is the evidence: nothing is read back. Where the members
// are now known, the addresses that answered get their names.
func (c *Canary) haltRegister(ctx context.Context) error {
	from := drills.Monotonic()
	if _, err := c.command(ctx, "halt", nil, "halted"); err != nil {
		return err
	}
	h := holdings{From: from, To: drills.Monotonic()}
	if members, err := c.members(ctx); err == nil {
		for _, m := range members {
			h.Members = append(h.Members, Holding{Member: m.Name, Address: m.Address})
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.Back = &h
	return c.raw.back(h)
}

// registerEvent checks the history and draws it. The lock is held, the raw file closed.
func (c *Canary) registerEvent(sum string) drills.Event {
	name := RegisterPicture(c.cfg.Name)
	picture, err := c.cfg.Samples.Create(name)
	if err != nil {
		c.note(fmt.Errorf("picture of %s: %w", c.cfg.Name, err))
		m := c.ledger.settleRegister(checkLimit, nil)
		return c.registered(m, sum)
	}
	m := c.ledger.settleRegister(checkLimit, picture)
	c.note(picture.Close())
	digest, err := c.cfg.Samples.Digest(name)
	c.note(err)
	m.Picture, m.PictureSHA256 = name, digest
	return c.registered(m, sum)
}

func (c *Canary) registered(m drills.RegisterMeasured, sum string) drills.Event {
	m.Raw, m.SHA256 = c.file, sum
	if c.err != nil {
		m.Error = c.err.Error()
	}
	return drills.Event{At: time.Now().UTC(), Kind: drills.EvMeasured, Register: &m}
}

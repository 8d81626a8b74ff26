package experiments

import (
	"context"
	"errors"
)

// clear ends what is left of an earlier helper, before the same fault is made again: after a restart of its target, whose new
// namespace knows nothing of it, or when nothing has met it since. A fault that is proven to be in force is not made twice.
func (n *Net) clear(ctx context.Context, key string) error {
	n.mu.Lock()
	c := n.cuts[key]
	n.mu.Unlock()
	if c == nil {
		return nil
	}
	c.mu.Lock()
	holds := c.failed == nil && c.done == nil && c.undone == nil && c.last.Affected() > 0
	c.mu.Unlock()
	if holds {
		return errors.New("its helper holds it already")
	}
	c.healing.Lock()
	defer c.healing.Unlock()
	_, err := c.heal(ctx)
	return err
}

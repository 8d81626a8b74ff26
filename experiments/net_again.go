package experiments

import (
	"context"
	"errors"
)

// clear ends what is left of an earlier helper, before the same fault is made again: after a restart of its target, whose new
// namespace knows nothing of it. A fault that is in force is not made twice.
func (n *Net) clear(ctx context.Context, key string) error {
	n.mu.Lock()
	c := n.cuts[key]
	n.mu.Unlock()
	if c == nil {
		return nil
	}
	c.mu.Lock()
	over := c.failed != nil || c.done != nil || c.undone != nil
	c.mu.Unlock()
	if !over {
		return errors.New("its helper holds it already")
	}
	c.healing.Lock()
	defer c.healing.Unlock()
	_, err := c.heal(ctx)
	return err
}

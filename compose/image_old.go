package compose

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"go.uber.org/zap"
)

// oldImageAge keeps images that another simulacro on this engine may be about to use.
const oldImageAge = time.Hour

// removeOldImages removes images of ours made from other binaries that no container uses. It is housekeeping: what
// cannot be removed is logged and left.
func (e *Engine) removeOldImages(ctx context.Context, keep string) {
	list, err := e.api.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", imageRepo))})
	if err != nil {
		e.log.Warn("cannot list old agent images", zap.Error(err))
		return
	}
	for _, i := range list {
		for _, tag := range i.RepoTags {
			if tag == keep || !e.isOld(ctx, tag) {
				continue
			}
			// Not forced: the engine refuses when any container, even a stopped one, was made from it.
			if _, err := e.api.ImageRemove(ctx, tag, image.RemoveOptions{}); err != nil {
				e.log.Debug("old agent image stays", zap.String("image", tag), zap.Error(err))
				continue
			}
			e.log.Info("old agent image removed", zap.String("image", tag))
		}
	}
}

func (e *Engine) isOld(ctx context.Context, tag string) bool {
	i, err := e.api.ImageInspect(ctx, tag)
	if err != nil {
		return false
	}
	t := i.Metadata.LastTagTime
	return !t.IsZero() && time.Since(t) > oldImageAge
}

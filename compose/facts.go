package compose

import (
	"context"
	"os"
	"strconv"
)

// Facts are what the record says about the engine and its host. All values are words; sizes are in bytes. What the
// engine does not say is left out, and "error" says why.
func (e *Engine) Facts(ctx context.Context) map[string]string {
	info, err := e.api.Info(ctx)
	if err != nil {
		return map[string]string{"engine-id": e.info.ID, "error": err.Error()}
	}
	v, err := e.api.ServerVersion(ctx)
	if err != nil {
		return map[string]string{"engine-id": info.ID, "error": err.Error()}
	}
	facts := map[string]string{
		"engine-id":      info.ID,
		"engine-version": v.Version,
		"api-version":    e.api.ClientVersion(),
		"api-max":        v.APIVersion,
		"os":             info.OperatingSystem,
		"kernel":         info.KernelVersion,
		"architecture":   info.Architecture,
		"cgroup-version": info.CgroupVersion,
		"cgroup-driver":  info.CgroupDriver,
		"storage-driver": info.Driver,
		"runtime":        info.DefaultRuntime,
		"cpus":           strconv.Itoa(info.NCPU),
		"memory":         strconv.FormatInt(info.MemTotal, 10),
		"nofile-hard":    strconv.FormatInt(ownNofile(), 10),
		"nofile-kernel":  strconv.FormatInt(kernelNofile(), 10),
		"project":        e.project,
	}
	if host, err := os.Hostname(); err == nil {
		facts["host"] = host
	}
	if off, err := e.clock.measure(ctx, e.api); err == nil {
		facts["clock-ahead"], facts["clock-bound"] = off.Ahead.String(), off.Bound.String()
	}
	return facts
}

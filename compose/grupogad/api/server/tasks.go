package server

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/eevans-d/simulacro/compose/grupogad/api/auth"
	"github.com/eevans-d/simulacro/compose/grupogad/api/store"
)

func (s *Server) listTasks(w http.ResponseWriter, r *http.Request, _ auth.Identity) error {
	skip, err := queryInt(r, "skip", 0, 0, 1<<30)
	if err != nil {
		return err
	}
	limit, err := queryInt(r, "limit", 100, 1, 500)
	if err != nil {
		return err
	}
	var tasks []store.Task
	err = s.DB.Do(r.Context(), func(ctx context.Context) error {
		tasks, err = s.Tasks.Tasks(ctx, skip, limit)
		return err
	})
	if err != nil {
		return err
	}
	if tasks == nil {
		tasks = []store.Task{}
	}
	return ok(w, tasks)
}

func (s *Server) getTask(w http.ResponseWriter, r *http.Request, _ auth.Identity) error {
	return s.withTask(w, r, s.Tasks.Task)
}

func (s *Server) taskByCode(w http.ResponseWriter, r *http.Request, _ auth.Identity) error {
	codigo := r.PathValue("codigo")
	return s.task(w, r, 0, func(ctx context.Context, _ int) (store.Task, error) { return s.Tasks.TaskByCode(ctx, codigo) })
}

func (s *Server) recentTasks(w http.ResponseWriter, r *http.Request, _ auth.Identity) error {
	limit, err := queryInt(r, "limit", 10, 1, 100)
	if err != nil {
		return err
	}
	tasks := []store.Task{}
	err = s.DB.Do(r.Context(), func(ctx context.Context) error {
		found, err := s.Tasks.RecentTasks(ctx, limit)
		tasks = append(tasks, found...)
		return err
	})
	if err != nil {
		return err
	}
	return ok(w, tasks)
}

func (s *Server) deleteTask(w http.ResponseWriter, r *http.Request, _ auth.Identity) error {
	return s.withTask(w, r, s.changing(s.Writes.DeleteTask))
}

func (s *Server) updateTask(w http.ResponseWriter, r *http.Request, _ auth.Identity) error {
	var in store.TaskInput
	if err := decode(r, &in); err != nil {
		return err
	}
	normalise(&in)
	return s.withTask(w, r, s.changing(func(ctx context.Context, id int) (store.Task, error) { return s.Writes.UpdateTask(ctx, id, in) }))
}

// createTask requires codigo, titulo and tipo; who asks is creator and delegate unless said otherwise.
func (s *Server) createTask(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	var in store.TaskInput
	if err := decode(r, &in); err != nil {
		return err
	}
	self, err := strconv.Atoi(id.UserID)
	if err != nil {
		return apierr.New(http.StatusForbidden, "Could not validate credentials")
	}
	if missing := required(in); len(missing) > 0 {
		return apierr.New(http.StatusUnprocessableEntity, "Validation Error: required: %s", strings.Join(missing, ", "))
	}
	normalise(&in)
	in.CreadoPor, in.Delegado = or(in.CreadoPor, self), or(in.Delegado, self)
	do := s.changing(func(ctx context.Context, _ int) (store.Task, error) { return s.Writes.CreateTask(ctx, in) })
	return s.task(w, r, 0, do)
}

func required(in store.TaskInput) (missing []string) {
	for _, f := range []struct {
		name  string
		value *string
	}{{"codigo", in.Codigo}, {"titulo", in.Titulo}, {"tipo", in.Tipo}} {
		if f.value == nil || *f.value == "" {
			missing = append(missing, f.name)
		}
	}
	return missing
}

// normalise accepts the enums in either case, as the real system's clients send both.
func normalise(in *store.TaskInput) {
	if in.Tipo != nil {
		in.Tipo = new(strings.ToUpper(*in.Tipo))
	}
	if in.Estado != nil {
		in.Estado = new(strings.ToLower(*in.Estado))
	}
}

func or(p *int, def int) *int {
	if p == nil {
		return &def
	}
	return p
}

type taskOp func(context.Context, int) (store.Task, error)

func (s *Server) withTask(w http.ResponseWriter, r *http.Request, do taskOp) error {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 1 || id > 1<<31-1 {
		return apierr.New(http.StatusUnprocessableEntity, "Validation Error: id must be a positive integer")
	}
	return s.task(w, r, id, do)
}

func (s *Server) task(w http.ResponseWriter, r *http.Request, id int, do taskOp) error {
	var t store.Task
	err := s.DB.Do(r.Context(), func(ctx context.Context) (err error) {
		t, err = do(ctx, id)
		return err
	})
	if err != nil {
		return err
	}
	return ok(w, t)
}

// changing forgets the delegate's cached statistics after a write. A Redis that is down must not fail
// the write: the cache then answers what it knew, for at most its 300 s.
func (s *Server) changing(do taskOp) taskOp {
	return func(ctx context.Context, id int) (store.Task, error) {
		t, err := do(ctx, id)
		if err == nil {
			_ = s.Redis.Do(ctx, func(ctx context.Context) error { // counted by the breaker, bounded by Redis's timeouts
				return s.Cache.Del(ctx, statsKeys(t.Delegado)...)
			})
		}
		return t, err
	}
}

// emergency assigns the nearest unit by PostGIS. Like the real one it creates no task.
func (s *Server) emergency(w http.ResponseWriter, r *http.Request, _ auth.Identity) error {
	var in struct {
		TelegramID *int64   `json:"telegram_id"`
		Lat        *float64 `json:"lat"`
		Lng        *float64 `json:"lng"`
	}
	received := time.Now().UTC()
	if err := decode(r, &in); err != nil {
		return err
	}
	if in.TelegramID == nil || in.Lat == nil || in.Lng == nil || *in.Lat < -90 || *in.Lat > 90 || *in.Lng < -180 || *in.Lng > 180 {
		return apierr.New(http.StatusUnprocessableEntity, "Validation Error: telegram_id, lat (-90..90) and lng (-180..180) are required")
	}
	var n store.Nearest
	err := s.DB.Do(r.Context(), func(ctx context.Context) (err error) {
		n, err = s.People.NearestUnit(ctx, *in.Lat, *in.Lng)
		return err
	})
	if err != nil {
		return err
	}
	return ok(w, map[string]any{
		"assigned_efectivo_id": n.UnitID, "distance_m": n.DistanceM,
		"received_at": received.Format(time.RFC3339Nano), "status": "assigned",
	})
}

func queryInt(r *http.Request, name string, def, lo, hi int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < lo || n > hi {
		return 0, apierr.New(http.StatusUnprocessableEntity, "Validation Error: %s must be a number from %d to %d", name, lo, hi)
	}
	return n, nil
}

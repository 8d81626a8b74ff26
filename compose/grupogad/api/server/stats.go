package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/eevans-d/simulacro/compose/grupogad/api/auth"
	"github.com/eevans-d/simulacro/compose/grupogad/api/store"
)

const statsTTL = 300 * time.Second

// statsDays are the windows on offer; a fixed few, so that a write can forget them all in one DEL.
func statsDays() []int { return []int{7, 30, 90} }

func statsKey(user, days int) string { return fmt.Sprintf("gad:stats:user:%d:days:%d", user, days) }

func statsKeys(user int) (keys []string) {
	for _, d := range statsDays() {
		keys = append(keys, statsKey(user, d))
	}
	return keys
}

type cacheInfo struct {
	Hit    bool   `json:"hit"`
	Source string `json:"source"` // redis or database
	Key    string `json:"key"`
	Error  string `json:"error,omitempty"`
}

type statsAnswer struct {
	store.UserStats
	Cache cacheInfo `json:"_cache"`
}

// userStats answers from Redis, else from the database. A Redis that is down costs the cache, not the
// answer, and `_cache` says so.
func (s *Server) userStats(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	user, days, err := s.statsRequest(r, id)
	if err != nil {
		return err
	}
	a := statsAnswer{Cache: cacheInfo{Source: "database", Key: statsKey(user, days)}}
	useCache := r.URL.Query().Get("use_cache") != "false"
	if useCache && s.cached(r.Context(), &a) {
		return ok(w, a)
	}
	err = s.DB.Do(r.Context(), func(ctx context.Context) error {
		a.UserStats, err = s.People.Stats(ctx, user, days)
		return err
	})
	if err != nil {
		return err
	}
	if useCache && a.Cache.Error == "" {
		s.keep(r.Context(), &a)
	}
	return ok(w, a)
}

func (s *Server) statsRequest(r *http.Request, id auth.Identity) (user, days int, err error) {
	if days, err = queryInt(r, "days", 30, 1, 365); err != nil {
		return 0, 0, err
	}
	if !slices.Contains(statsDays(), days) {
		return 0, 0, apierr.New(http.StatusUnprocessableEntity, "Validation Error: days must be one of %v", statsDays())
	}
	user, err = strconv.Atoi(r.PathValue("id"))
	if err != nil || user < 1 || user > 1<<31-1 {
		return 0, 0, apierr.New(http.StatusUnprocessableEntity, "Validation Error: id must be a positive integer")
	}
	if id.Role != auth.RoleAdmin && id.UserID != r.PathValue("id") {
		return 0, 0, apierr.New(http.StatusForbidden, "Not enough permissions")
	}
	return user, days, nil
}

func (s *Server) cached(ctx context.Context, a *statsAnswer) bool {
	var value []byte
	var found bool
	err := s.Redis.Do(ctx, func(ctx context.Context) (err error) {
		value, found, err = s.Cache.Get(ctx, a.Cache.Key)
		return err
	})
	if err != nil {
		a.Cache.Error = err.Error()
		return false
	}
	if !found || json.Unmarshal(value, &a.UserStats) != nil { // unreadable is as good as absent
		return false
	}
	a.Cache.Hit, a.Cache.Source = true, "redis"
	return true
}

func (s *Server) keep(ctx context.Context, a *statsAnswer) {
	value, err := json.Marshal(a.UserStats)
	if err == nil {
		err = s.Redis.Do(ctx, func(ctx context.Context) error { return s.Cache.Set(ctx, a.Cache.Key, value, statsTTL) })
	}
	if err != nil {
		a.Cache.Error = err.Error()
	}
}

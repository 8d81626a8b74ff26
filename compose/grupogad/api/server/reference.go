package server

import (
	"net/http"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/eevans-d/simulacro/compose/grupogad/api/auth"
	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
)

func (s *Server) getDefects(w http.ResponseWriter, _ *http.Request, id auth.Identity) error {
	if err := adminOnly(id); err != nil {
		return err
	}
	return ok(w, s.defectsAnswer())
}

// putDefects replaces the whole set; an empty list makes the system sound again.
func (s *Server) putDefects(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	if err := adminOnly(id); err != nil {
		return err
	}
	var in struct {
		Defects []string `json:"defects"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	if err := s.Defects.Replace(in.Defects); err != nil {
		return &apierr.Error{Status: http.StatusUnprocessableEntity, Detail: err.Error(), Err: err}
	}
	return ok(w, s.defectsAnswer())
}

func (s *Server) defectsAnswer() map[string]any {
	return map[string]any{"instance": s.Instance, "defects": s.Defects.List(), "available": defects.All()}
}

func adminOnly(id auth.Identity) error {
	if id.Role != auth.RoleAdmin {
		return apierr.New(http.StatusForbidden, "Not enough permissions")
	}
	return nil
}

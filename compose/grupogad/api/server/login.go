package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/eevans-d/simulacro/compose/grupogad/api/auth"
	"github.com/eevans-d/simulacro/compose/grupogad/api/store"
)

// login takes the form of OAuth2's password flow. Wrong user and wrong password look the same.
func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return &apierr.Error{Status: http.StatusUnprocessableEntity, Detail: "Validation Error: " + err.Error(), Err: err}
	}
	name, password := r.PostForm.Get("username"), r.PostForm.Get("password")
	if name == "" || password == "" {
		return apierr.New(http.StatusUnprocessableEntity, "Validation Error: username and password are required")
	}
	user, err := s.user(r.Context(), name)
	if err != nil {
		return err
	}
	match, err := s.Passwords.Match(r.Context(), user.PasswordHash, password)
	if err != nil {
		return apierr.Unavailable("login", err)
	}
	if !match || !user.Verificado {
		return apierr.New(http.StatusUnauthorized, "Incorrect email or password")
	}
	life := s.Tokens.Life()
	if asked := r.URL.Query().Get("life"); asked != "" { // a client may ask for less, never for more
		d, err := time.ParseDuration(asked)
		if err != nil || d < time.Second {
			return apierr.New(http.StatusUnprocessableEntity, "Validation Error: life must be a duration of at least 1s, such as 20s")
		}
		life = min(life, d)
	}
	token, err := s.Tokens.IssueFor(auth.Identity{UserID: strconv.Itoa(user.ID), Role: user.Nivel}, life)
	if err != nil {
		return &apierr.Error{Status: http.StatusInternalServerError, Detail: "Internal Server Error", Err: err}
	}
	return ok(w, map[string]any{"access_token": token, "token_type": "bearer", "expires_in": int(life.Seconds())})
}

// user returns the zero user, which no password matches, for a name that does not exist.
func (s *Server) user(ctx context.Context, name string) (store.User, error) {
	var user store.User
	err := s.DB.Do(ctx, func(ctx context.Context) error {
		var err error
		user, err = s.People.UserByEmail(ctx, name)
		return err
	})
	if apierr.IsClient(err) {
		return store.User{}, nil
	}
	return user, err
}

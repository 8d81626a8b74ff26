package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/eevans-d/simulacro/compose/grupogad/bot/backend"
	"github.com/eevans-d/simulacro/compose/grupogad/bot/tg"
)

// api is what commands ask for.
type api interface {
	Create(ctx context.Context, codigo, titulo, mark string) (backend.Task, error)
	Finish(ctx context.Context, codigo string) (backend.Task, error)
	Recent(ctx context.Context, n int) ([]backend.Task, error)
	Stats(ctx context.Context) (backend.Stats, error)
}

const (
	help        = "Comandos: /crear CODIGO TITULO, /finalizar CODIGO, /historial, /estadisticas"
	unavailable = "El servicio no está disponible en este momento; intente de nuevo en unos minutos."
	recent      = 5
)

// commands answers what users type.
type commands struct {
	api       api
	whitelist []int64
	pretend   func() bool // the defect: /crear reports success and asks nobody
}

// answer is the text of the reply and, for the metrics, the command; both are empty for what gets no reply.
func (c *commands) answer(ctx context.Context, u tg.Update) (command, text string) {
	if u.Message == nil || u.Message.Text == "" {
		return "", ""
	}
	if len(c.whitelist) > 0 && !slices.Contains(c.whitelist, u.Message.From.ID) {
		return "refused", "No autorizado."
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(u.Message.Text), " ")
	word, _, _ = strings.Cut(word, "@") // /start@the_bot, in groups
	rest = strings.TrimSpace(rest)
	switch word {
	case "/start":
		return "start", "GRUPO_GAD. " + help
	case "/crear":
		return "crear", c.create(ctx, rest, u.ID)
	case "/finalizar":
		return "finalizar", c.finish(ctx, rest)
	case "/historial":
		return "historial", c.history(ctx)
	case "/estadisticas":
		return "estadisticas", c.stats(ctx)
	}
	return "unknown", "No entiendo. " + help
}

// create is safe to repeat: the task carries the number of the update that asked for it.
func (c *commands) create(ctx context.Context, args string, updateID int64) string {
	codigo, titulo, _ := strings.Cut(args, " ")
	if codigo == "" || titulo == "" {
		return "Uso: /crear CODIGO TITULO"
	}
	if c.pretend() {
		return fmt.Sprintf("Tarea %s creada (n.º %d).", codigo, 1_000_000_000+updateID%1_000_000_000) // a number that no task has
	}
	t, err := c.api.Create(ctx, codigo, cut(titulo, 200), fmt.Sprintf("%s [telegram %d]", titulo, updateID))
	if err != nil {
		return sorry(err, "No se pudo crear la tarea "+codigo)
	}
	return fmt.Sprintf("Tarea %s creada (n.º %d).", t.Codigo, t.ID)
}

func (c *commands) finish(ctx context.Context, codigo string) string {
	if codigo == "" || strings.Contains(codigo, " ") {
		return "Uso: /finalizar CODIGO"
	}
	t, err := c.api.Finish(ctx, codigo)
	if err != nil {
		return sorry(err, "No se pudo finalizar la tarea "+codigo)
	}
	return fmt.Sprintf("Tarea %s %s.", t.Codigo, t.Estado)
}

func (c *commands) history(ctx context.Context) string {
	tasks, err := c.api.Recent(ctx, recent)
	if err != nil {
		return sorry(err, "No se pudo leer el historial")
	}
	lines := []string{"Historial:"}
	for _, t := range tasks {
		lines = append(lines, fmt.Sprintf("%s (%s) %s", t.Codigo, t.Estado, cut(t.Titulo, 60)))
	}
	return strings.Join(lines, "\n")
}

func (c *commands) stats(ctx context.Context) string {
	s, err := c.api.Stats(ctx)
	if err != nil {
		return sorry(err, "No se pudieron leer las estadísticas")
	}
	return fmt.Sprintf("Estadísticas de 30 días: %d tareas, %d abiertas, %d finalizadas.", s.Total, s.Open, s.Completed)
}

// sorry tells the user's mistake from a service that does not answer; it never pretends.
func sorry(err error, what string) string {
	var e *apierr.Error
	if errors.As(err, &e) && e.Status < 500 && e.Status != http.StatusTooManyRequests {
		return what + ": " + e.Detail
	}
	return unavailable
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/eevans-d/simulacro/compose/grupogad/bot/backend"
	"github.com/eevans-d/simulacro/compose/grupogad/bot/tg"
)

type fakeAPI struct {
	err     error
	created []string
}

func (f *fakeAPI) Create(_ context.Context, codigo, titulo, mark string) (backend.Task, error) {
	f.created = append(f.created, codigo+"|"+titulo+"|"+mark)
	return backend.Task{ID: 17, Codigo: codigo}, f.err
}

func (f *fakeAPI) Finish(_ context.Context, codigo string) (backend.Task, error) {
	return backend.Task{Codigo: codigo, Estado: "finalizada"}, f.err
}

func (f *fakeAPI) Recent(context.Context, int) ([]backend.Task, error) {
	return []backend.Task{{Codigo: "A-1", Titulo: "uno", Estado: "programada"}}, f.err
}

func (f *fakeAPI) Stats(context.Context) (backend.Stats, error) {
	return backend.Stats{Total: 3, Open: 2, Completed: 1}, f.err
}

func said(text string) tg.Update {
	u := tg.Update{ID: 99, Message: &tg.Incoming{Text: text}}
	u.Message.From.ID = 42
	return u
}

func TestCommands(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	for name, c := range map[string]struct {
		text    string
		err     error
		command string
		want    string
	}{
		"start":            {"/start@gad_bot", nil, "start", "/estadisticas"},
		"create":           {"/crear A-1 una tarea", nil, "crear", "Tarea A-1 creada (n.º 17)."},
		"create nothing":   {"/crear A-1", nil, "crear", "Uso:"},
		"create twice":     {"/crear A-1 x", apierr.New(400, "codigo already exists"), "crear", "codigo already exists"},
		"create, API down": {"/crear A-1 x", down, "crear", unavailable},
		"finish":           {"/finalizar A-1", nil, "finalizar", "A-1 finalizada"},
		"finish nothing":   {"/finalizar", nil, "finalizar", "Uso:"},
		"history":          {"/historial", nil, "historial", "A-1 (programada) uno"},
		"history, down":    {"/historial", down, "historial", unavailable},
		"stats":            {"/estadisticas", nil, "estadisticas", "3 tareas, 2 abiertas, 1 finalizadas"},
		"stats, 503":       {"/estadisticas", &apierr.Error{Status: http.StatusServiceUnavailable}, "estadisticas", unavailable},
		"stats, throttled": {"/estadisticas", &apierr.Error{Status: http.StatusTooManyRequests}, "estadisticas", unavailable},
		"anything else":    {"hola", nil, "unknown", "No entiendo"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmds := &commands{api: &fakeAPI{err: c.err}, pretend: func() bool { return false }}
			command, got := cmds.answer(t.Context(), said(c.text))
			if command != c.command || !strings.Contains(got, c.want) {
				t.Errorf("%s: %q, want %s: %q", command, got, c.command, c.want)
			}
		})
	}
}

// Asking twice for the same update gives the same mark; with the defect nobody is asked and success is reported.
func TestCreateIsMarkedAndTheDefectPretends(t *testing.T) {
	t.Parallel()
	api, pretend := &fakeAPI{}, false
	cmds := &commands{api: api, pretend: func() bool { return pretend }}
	for range 2 {
		cmds.answer(t.Context(), said("/crear A-1 x"))
	}
	if len(api.created) != 2 || api.created[0] != api.created[1] || !strings.HasSuffix(api.created[0], "[telegram 99]") {
		t.Errorf("%q", api.created)
	}
	pretend = true
	if _, got := cmds.answer(t.Context(), said("/crear A-2 x")); !strings.Contains(got, "creada") || len(api.created) != 2 {
		t.Errorf("%q, asked %d times", got, len(api.created))
	}
}

func TestWhitelistAndSilence(t *testing.T) {
	t.Parallel()
	cmds := &commands{api: &fakeAPI{}, whitelist: []int64{1}, pretend: func() bool { return false }}
	if c, got := cmds.answer(t.Context(), said("/estadisticas")); c != "refused" || got != "No autorizado." {
		t.Errorf("%s %q", c, got)
	}
	if _, got := cmds.answer(t.Context(), tg.Update{}); got != "" {
		t.Errorf("an update without a message was answered by %q", got)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"REDIS_SENTINELS": "a:1,b:2", "TELEGRAM_URL": "http://t", "TELEGRAM_TOKEN": "x", "API_URL": "http://a", "API_PASSWORD": "p",
		"DEFECTS": "send-once", "WHITELIST_IDS": "1, 2",
	}
	c, err := loadConfig(func(k string) string { return good[k] })
	if err != nil || !c.Defects.On(sendOnce) || len(c.Whitelist) != 2 || len(c.Sentinels) != 2 {
		t.Errorf("%+v %v", c, err)
	}
	_, err = loadConfig(func(k string) string {
		return map[string]string{"DEFECTS": "rate-limit-100", "WHITELIST_IDS": "me", "TELEGRAM_POLL": "soon", "LISTEN": "8000"}[k]
	})
	for _, want := range []string{"TELEGRAM_URL", "TELEGRAM_TOKEN", "API_URL", "API_PASSWORD", "REDIS_SENTINELS", "DEFECTS", "WHITELIST_IDS", "TELEGRAM_POLL", "LISTEN"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

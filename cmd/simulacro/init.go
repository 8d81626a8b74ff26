package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/eevans-d/simulacro/compose"
	"github.com/eevans-d/simulacro/drills"
)

//go:embed init.yaml.tmpl
var draftTemplate string

func (a *app) initCmd() *cobra.Command {
	var out, environment string
	c := &cobra.Command{
		Use: "init PROJECT", Short: "Draft a system file from a running Compose project", Args: cobra.ExactArgs(1),
		Long: "Looks at the containers of a running Compose project and writes a system file to start from: components by service,\n" +
			"kinds by port and image, a probe for each, the engine's id as the pin. Read it, correct it, then `simulacro validate`.",
		RunE: func(c *cobra.Command, args []string) error { return a.draft(c.Context(), args[0], environment, out) },
	}
	c.Flags().StringVarP(&out, "out", "o", "system.yaml", "the file to write; - for standard output; an existing one is kept")
	c.Flags().StringVar(&environment, "environment", "test", "reference, test, staging, …: what the system is")
	return c
}

// draftSystem is what the template draws.
type draftSystem struct {
	Name, Environment, EngineID, Project string
	Components                           []draftComponent
}

type draftComponent struct {
	Name, Kind, Service, Network, Address string
	Members                               int
}

func (a *app) draft(ctx context.Context, project, environment, out string) error {
	engine, err := compose.Open(ctx, compose.Options{Project: project, Binary: a.binary, Log: a.logger()})
	if err != nil {
		return err
	}
	defer func() { _ = engine.Close() }() // the client keeps no state
	members, err := engine.Members(ctx)
	if err != nil {
		return err
	}
	if len(members) == 0 {
		return drills.Errorf(drills.Blocked, "`docker ps` shows the label com.docker.compose.project of each", "no container of Compose project %q is there", project)
	}
	d := draftSystem{Name: slug(project), Environment: environment, EngineID: engine.ID(), Project: project, Components: draftComponents(members)}
	var b bytes.Buffer
	if err := template.Must(template.New("system").Parse(draftTemplate)).Execute(&b, d); err != nil {
		return drills.Wrap(drills.Internal, err, "draft the system file", "")
	}
	if out == "-" {
		_, err := a.stdout.Write(b.Bytes())
		return err
	}
	return a.writeNew(out, b.Bytes(), d)
}

func (a *app) writeNew(path string, content []byte, d draftSystem) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return drills.Errorf(drills.Usage, "use --out another name, or - for standard output", "%s is there already", path)
	}
	if err != nil {
		return drills.Wrap(drills.Internal, err, "write "+path, "")
	}
	_, werr := f.Write(content)
	if err := errors.Join(werr, f.Close()); err != nil {
		return drills.Wrap(drills.Internal, err, "write "+path, "")
	}
	a.printf("wrote %s: %d components of project %s\nread it, correct it, then: simulacro --system %s validate\n", path, len(d.Components), d.Project, path)
	return nil
}

// draftComponents groups members by service; "redis-1" and "redis-2" become one component "redis".
func draftComponents(members []drills.Member) []draftComponent {
	groups := map[string]*draftComponent{}
	for _, m := range members {
		name := strings.TrimRight(m.Service, "-_0123456789")
		c, ok := groups[name]
		if !ok {
			kind, port := guessKind(m)
			network := slices.Sorted(maps.Keys(m.Networks))
			c = &draftComponent{Name: slug(name), Kind: kind, Service: m.Service}
			if len(network) > 0 {
				c.Network = network[0]
			}
			c.Address = m.Service + ":" + strconv.Itoa(port)
			groups[name] = c
		}
		c.Members++
		if c.Members > 1 && c.Service != m.Service {
			c.Service = name + "*"
		}
	}
	var out []draftComponent
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		out = append(out, *groups[name])
	}
	return out
}

// guessKind goes by the words in the service's and the image's name; the address is a guess that the file says is one.
func guessKind(m drills.Member) (string, int) {
	words := strings.ToLower(m.Service + " " + m.Image)
	for _, g := range []struct {
		word, kind string
		port       int
	}{
		{"redis", "redis", 6379},
		{"valkey", "redis", 6379},
		{"postg", "postgres", 5432},
		{"pg", "postgres", 5432},
		{"patroni", "postgres", 5432},
		{"nginx", "http", 80},
		{"caddy", "http", 80},
		{"proxy", "http", 80},
		{"web", "http", 80},
		{"api", "http", 8000},
	} {
		if strings.Contains(words, g.word) {
			return g.kind, g.port
		}
	}
	return "http", 80
}

// slug makes a name that files accept: lower case, digits and dashes.
func slug(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-")
	if name == "" || name[0] < 'a' {
		return fmt.Sprintf("c-%s", name)
	}
	return name
}

package faultlab

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
)

const psql = "psql -h /tmp -U app -d postgres -qAt -c "

// postgres starts a server whose WAL is on a volume of 64 MiB; supervised is by a shell that starts it again, as Patroni does.
func (l *lab) postgres(supervised bool, volume ...string) drills.Member {
	l.t.Helper()
	if exec.Command("docker", "image", "inspect", "gad/patroni:dev").Run() != nil {
		if os.Getenv("SIMULACRO_REQUIRE_DOCKER") != "" {
			l.t.Fatal("SIMULACRO_REQUIRE_DOCKER is set and the images of make images are not there")
		}
		l.t.Skip("not the images of make images")
	}
	run := `postgres -D /data/pg -c listen_addresses='*' -c unix_socket_directories=/tmp -c shared_buffers=16MB -c max_wal_size=48MB -c min_wal_size=32MB`
	if supervised {
		run = "while true; do " + run + "; sleep 1; done"
	} else {
		run = "exec " + run
	}
	script := `PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
		test -d /data/pg || { initdb -D /data/pg -X /wal/pg --auth-local=trust --auth-host=scram-sha-256 --pwfile=<(echo hush) -U app --no-sync >/dev/null
		echo 'host all all all scram-sha-256' >>/data/pg/pg_hba.conf; }
		` + run
	flags := append([]string{"--memory", "512m", "--user", "postgres", "--tmpfs", "/tmp:mode=1777", "--entrypoint", "bash"}, volume...)
	m := l.memberOf("gad/patroni:dev", "db", []string{"-c", script}, flags...)
	l.system = &drills.System{Disposable: true, Components: map[string]drills.Component{
		"c": {Name: "c", Kind: "postgres", Control: &drills.Control{DSN: "postgres://faults:hush@db:5432/postgres?sslmode=disable"}},
	}}
	l.eventually("PostgreSQL is up", time.Minute, func() bool { return l.takes(m.ID) })
	l.docker("exec", m.ID, "bash", "-c", psql+`"create role faults login replication password 'hush'; create table kept (n int); insert into kept select generate_series(1, 1000)"`)
	return l.now(m.ID)
}

// takes asks the server's own tool for a write: the independent look.
func (l *lab) takes(id string) bool {
	return exec.Command("docker", "exec", id, "bash", "-c", "timeout 5 "+psql+`"create table if not exists look (n int); insert into look values (1)"`).Run() == nil
}

// whole wants the server to take writes with all that it had, and the space to be free.
func (l *lab) whole(m drills.Member) {
	l.t.Helper()
	l.eventually("PostgreSQL takes writes", time.Minute, func() bool { return l.takes(m.ID) })
	if n := l.docker("exec", m.ID, "bash", "-c", psql+`"select count(*) from kept"`); n != "1000" {
		l.t.Errorf("%s rows of 1000 are there", n)
	}
	if free := l.freeAt(m.ID, "/wal"); free < 1<<20 {
		l.t.Errorf("%d bytes free on the WAL's volume", free)
	}
	l.clean(m.ID)
}

// refused wants the effect to be PostgreSQL's own word, and nobody to get a write in.
func (l *lab) refused(m drills.Member, e drills.Effect) {
	l.t.Helper()
	var ev struct {
		Refusal struct {
			Code, Severity, Message string
			Written                 int64 `json:"written_bytes"`
		}
		Space struct{ Last struct{ Free, Held int64 } }
	}
	if err := json.Unmarshal(e.Evidence, &ev); err != nil || ev.Refusal.Code == "" || ev.Refusal.Message == "" || ev.Refusal.Written <= 0 || ev.Space.Last.Held < 1<<20 {
		l.t.Errorf("evidence %s", e.Evidence)
	}
	big := "timeout 20 " + psql + `"create table big as select md5(random()::text) from generate_series(1, 20000)"`
	if out, err := exec.Command("docker", "exec", m.ID, "bash", "-c", big).CombinedOutput(); err == nil {
		l.t.Error("somebody else's write of a megabyte was taken")
	} else {
		l.t.Logf("%s", out)
	}
}

func TestPostgresWALFull(t *testing.T) {
	l := newLab(t, false)
	m := l.postgres(true, "--tmpfs", "/wal:size=64m,mode=1777", "--tmpfs", "/data:size=128m,mode=1777")
	plan := func() drills.Change { return l.plan("postgres-wal-full", with{"path": "/wal/pg"}, l.now(m.ID)) }
	t.Run("undone", func(t *testing.T) {
		c := plan()
		if l.present(c) {
			t.Fatal("present before the do")
		}
		e := l.do(c)
		l.refused(m, e)
		if !l.present(c) {
			t.Error("not present after the do")
		}
		if e := l.apply(c, c.Undo); e.Skipped != "" || !e.Proven {
			t.Errorf("undo %+v", e)
		}
		l.whole(m)
		if e := l.apply(c, c.Undo); e.Skipped == "" {
			t.Error("a second undo did something")
		}
	})
	t.Run("its helper is killed", func(t *testing.T) {
		c := plan()
		c.Do.ID = "killed"
		l.do(c)
		l.docker("kill", l.docker("ps", "-q", "--filter", "label=io.simulacro.run="+l.run.Run, "--filter", "label=io.simulacro.role=helper"))
		select {
		case why := <-l.ends:
			t.Log(why)
		case <-time.After(20 * time.Second):
			t.Error("nobody was told that the fault ended")
		}
		l.apply(c, c.Undo)
		l.whole(m)
	})
	t.Run("the orchestrator is killed", func(t *testing.T) {
		c := plan()
		l.killed(l.held(c), "the space is back", func() bool { return l.freeAt(m.ID, "/wal") > 1<<20 })
		l.apply(c, c.Undo) // by a process that never held it
		l.whole(m)
	})
}

// TestPostgresWALFullEndsTheMember: nobody starts the server again but the undo.
func TestPostgresWALFullEndsTheMember(t *testing.T) {
	l := newLab(t, false)
	for name, size := range map[string]string{"": "64m", "-data": "128m"} {
		l.docker("volume", "create", "-d", "local", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=mode=1777,size="+size, l.project+name)
	}
	t.Cleanup(func() { l.remove(); l.try("volume", "rm", "-f", l.project, l.project+"-data") })
	// A tmpfs lives as long as somebody has it.
	l.memberOf("gad/patroni:dev", "keeper", []string{"-c", "sleep 600"}, "--entrypoint", "bash", "-v", l.project+":/wal", "-v", l.project+"-data:/data")
	m := l.postgres(false, "-v", l.project+":/wal", "-v", l.project+"-data:/data")
	c := l.plan("postgres-wal-full", with{"path": "/wal/pg"}, l.now(m.ID))
	l.do(c)
	l.try("kill", m.ID) // it may recover without space, too
	l.eventually("the member is down", 10*time.Second, func() bool { return !l.running(m.ID) })
	e := l.apply(c, c.Undo)
	if !strings.Contains(string(e.Evidence), `"started":true`) {
		t.Errorf("the undo did not start it: %s", e.Evidence)
	}
	l.whole(m)
}

// TestPostgresWALFullRefuses: a WAL that has no volume of its own is on the host's disk, and a path that the WAL is not on
// proves nothing.
func TestPostgresWALFullRefuses(t *testing.T) {
	l := newLab(t, false)
	m := l.postgres(true, "--tmpfs", "/wal:size=64m,mode=1777", "--tmpfs", "/data:size=128m,mode=1777", "--tmpfs", "/other:size=8m")
	l.docker("exec", m.ID, "bash", "-c", psql+`"alter role faults noreplication"`)
	for path, want := range map[string]string{"/var/lib": "host's disk", "/other": "did not refuse: it uses its old segments again"} {
		c := l.plan("postgres-wal-full", with{"path": path, "at-most": "16MiB"}, l.now(m.ID))
		c.Do.ID = path
		if _, err := l.wal.Apply(t.Context(), c.Do); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
		l.apply(c, c.Undo)
		l.whole(m)
	}
}

func TestPostgresWALFullConforms(t *testing.T) {
	l := newLab(t, false)
	m := l.postgres(true, "--tmpfs", "/wal:size=64m,mode=1777", "--tmpfs", "/data:size=128m,mode=1777")
	drilltest.Actuator(t, drilltest.ActuatorCase{Name: "postgres-wal-full", Change: l.plan("postgres-wal-full", with{"path": "/wal/pg"}, m), Actuator: l.wal})
	l.whole(m)
}

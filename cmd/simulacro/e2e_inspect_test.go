package main

import (
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// inspection is what the members of the reference system are like, by service and aspect, as tools of others tell it.
type inspection map[string]string

// inspect looks at every container of the project: its state and limits (docker), the nftables tables and queueing
// disciplines of its network namespace (nft, tc), its mounts, name files, limit of open files and what of ours lies in its /tmp
// (the kernel); at the processes of this machine; and into the stores (redis-cli, psql). It takes about a second.
func inspect(t *testing.T) inspection {
	t.Helper()
	in := inspection{}
	ids := strings.Fields(docker(t, "ps", "-aq", "--filter", "label=com.docker.compose.project=gad"))
	for line := range strings.Lines(asked("docker", append([]string{"inspect", "-f", looks}, ids...)...)) {
		in.container(strings.SplitN(strings.TrimSpace(line), "|", 3))
	}
	for _, name := range []string{"redis-1", "redis-2", "redis-3"} {
		in.redis(t, name)
	}
	for _, name := range []string{"pg-1", "pg-2", "pg-3"} {
		in.postgres(t, name)
	}
	in["processes of ours in containers"] = kept(asked("ps", "-e", "-o", "args"), `simulacro _agent`)
	// A guard that has ended keeps its report for the next start, which removes it (docs/adr/0005).
	in["containers of ours beside them"] = docker(t, "ps", "-q", "--filter", "label=io.simulacro.run")
	return in
}

// looks is a container's service, process, state, and the settings that a fault may change. A CPU quota of -1 is none, as 0 is, and so is a limit of 0 processes, as no value is:
// the engine cannot be told to set what was there before again.
const looks = `{{index .Config.Labels "com.docker.compose.service"}}|{{.State.Pid}}|{{.State.Status}} memory={{.HostConfig.Memory}}/{{.HostConfig.MemorySwap}}` +
	` cpus={{.HostConfig.NanoCpus}}/{{if eq (print .HostConfig.CpuQuota) "-1"}}0{{else}}{{.HostConfig.CpuQuota}}{{end}} pids={{if .HostConfig.PidsLimit}}{{.HostConfig.PidsLimit}}{{else}}0{{end}} restart={{.HostConfig.RestartPolicy.Name}}`

func (in inspection) container(head []string) {
	if len(head) != 3 {
		return // it was removed between the two questions: its service is missing then
	}
	name, pid := head[0], head[1]
	put := func(aspect, what string) { in[name+" "+aspect] = what }
	put("state", head[2])
	put("tables", kept(asked("nsenter", "-t", pid, "-n", "nft", "list", "tables"), `^table`))
	put("qdiscs", kept(asked("nsenter", "-t", pid, "-n", "tc", "qdisc", "show"), `^qdisc`))
	put("mounts", kept(asked("awk", "{print $5}", "/proc/"+pid+"/mountinfo"), `^/`))
	put("open files", kept(asked("cat", "/proc/"+pid+"/limits"), `^Max open files`))
	put("hosts file", asked("cat", "/proc/"+pid+"/root/etc/hosts"))
	put("resolver", asked("cat", "/proc/"+pid+"/root/etc/resolv.conf"))
	put("files of ours", kept(asked("ls", "/proc/"+pid+"/root/tmp"), `simulacro`))
}

func (in inspection) redis(t *testing.T, name string) {
	t.Helper()
	const ask = `timeout 3 redis-cli <<< $'config get maxmemory\nconfig get maxmemory-policy\nconfig get appendonly\nconfig get save\nconfig get maxclients\nclient list'`
	said := asked("docker", "exec", "-e", "REDISCLI_AUTH="+secret(t, "REDIS_PASSWORD"), service(t, name), "bash", "-c", ask)
	settings, clients, _ := strings.Cut(said, "id=")
	in[name+" settings"] = settings
	in[name+" clients of ours"] = kept(clients, `name=simulacro`)
}

func (in inspection) postgres(t *testing.T, name string) {
	t.Helper()
	in[name+" database"] = asked("docker", "exec", service(t, name), "timeout", "3", "psql", "-h", "/tmp", "-U", "postgres", "-d", "gad", "-At",
		"-c", "select 'sessions of ours', count(*) from pg_stat_activity where application_name like 'simulacro%'",
		"-c", "select 'indexes', string_agg(indexname, ' ' order by indexname) from pg_indexes where schemaname = 'gad'",
		"-c", "select 'replay paused', case when pg_is_in_recovery() then pg_is_wal_replay_paused() else false end")
}

// asked is what a program says; why it fails is an answer too.
func asked(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return strings.TrimSpace(fmt.Sprintf("%s (%v)", out, err))
	}
	return strings.TrimSpace(string(out))
}

// kept are the lines that match, sorted.
func kept(text, pattern string) string {
	want := regexp.MustCompile(pattern)
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return !want.MatchString(l) })
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// differences names every aspect that is not as it was.
func (in inspection) differences(now inspection) []string {
	keys := maps.Clone(in)
	maps.Copy(keys, now)
	var out []string
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if in[k] != now[k] {
			out = append(out, fmt.Sprintf("%s: was %q, is %q", k, in[k], now[k]))
		}
	}
	return out
}

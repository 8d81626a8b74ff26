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
// disciplines of its network namespace (nft, tc), its mounts, hosts file and limit of open files (the kernel), whether
// anything of ours runs or lies in it (docker top, docker diff); and into the stores (redis-cli, psql).
func inspect(t *testing.T) inspection {
	t.Helper()
	in := inspection{}
	for _, id := range strings.Fields(docker(t, "ps", "-aq", "--filter", "label=com.docker.compose.project=gad")) {
		in.container(t, id)
	}
	for _, name := range []string{"redis-1", "redis-2", "redis-3"} {
		in.redis(t, name)
	}
	for _, name := range []string{"pg-1", "pg-2", "pg-3"} {
		in.postgres(t, name)
	}
	in["redis primaries"] = fmt.Sprint(len(redisPrimaries(t)))
	in["postgis primaries"] = fmt.Sprint(len(pgPrimaries(t)))
	// A guard that has ended keeps its report for the next start, which removes it (docs/adr/0005).
	in["processes of ours beside them"] = docker(t, "ps", "-q", "--filter", "label=io.simulacro.run")
	return in
}

// limits are the settings of a container that a fault may change.
const limits = `{{.State.Status}} memory={{.HostConfig.Memory}}/{{.HostConfig.MemorySwap}} cpus={{.HostConfig.NanoCpus}}/{{.HostConfig.CpuQuota}} pids={{.HostConfig.PidsLimit}} restart={{.HostConfig.RestartPolicy.Name}}`

func (in inspection) container(t *testing.T, id string) {
	t.Helper()
	head := strings.Fields(asked("docker", "inspect", "-f", `{{index .Config.Labels "com.docker.compose.service"}} {{.State.Pid}}`, id))
	if len(head) != 2 {
		return // it was removed between the two questions: its service is missing then
	}
	name, pid := head[0], head[1]
	put := func(aspect, what string) { in[name+" "+aspect] = what }
	put("state", asked("docker", "inspect", "-f", limits, id))
	put("tables", kept(asked("nsenter", "-t", pid, "-n", "nft", "list", "tables"), `^table`))
	put("qdiscs", kept(asked("nsenter", "-t", pid, "-n", "tc", "qdisc", "show"), `^qdisc`))
	put("mounts", kept(asked("awk", "{print $5}", "/proc/"+pid+"/mountinfo"), `^/`))
	put("open files", kept(asked("cat", "/proc/"+pid+"/limits"), `^Max open files`))
	put("hosts file", asked("nsenter", "-t", pid, "-m", "cat", "/etc/hosts"))
	put("resolver", asked("nsenter", "-t", pid, "-m", "cat", "/etc/resolv.conf"))
	put("processes of ours", kept(asked("docker", "top", id, "-eo", "pid,args"), `simulacro _|_agent`))
	put("files of ours", kept(asked("docker", "diff", id), `simulacro`))
}

func (in inspection) redis(t *testing.T, name string) {
	t.Helper()
	ask := func(words ...string) string {
		return asked("docker", append([]string{"exec", "-e", "REDISCLI_AUTH=" + secret(t, "REDIS_PASSWORD"), service(t, name), "timeout", "3", "redis-cli"}, words...)...)
	}
	for _, key := range []string{"maxmemory", "maxmemory-policy", "appendonly", "save", "maxclients", "min-replicas-to-write"} {
		in[name+" "+key] = ask("config", "get", key)
	}
	in[name+" clients of ours"] = kept(ask("client", "list"), `name=simulacro`)
}

func (in inspection) postgres(t *testing.T, name string) {
	t.Helper()
	ask := func(aspect, sql string) {
		in[name+" "+aspect] = asked("docker", "exec", service(t, name), "timeout", "3", "psql", "-h", "/tmp", "-U", "postgres", "-d", "gad", "-Atc", sql)
	}
	ask("sessions of ours", "select count(*) from pg_stat_activity where application_name like 'simulacro%'")
	ask("indexes", "select string_agg(indexname, ' ' order by indexname) from pg_indexes where schemaname = 'gad'")
	ask("schemas", "select string_agg(nspname, ' ' order by nspname) from pg_namespace where nspname not like 'pg_temp%' and nspname not like 'pg_toast_temp%'")
	ask("replay", "select case when pg_is_in_recovery() then pg_is_wal_replay_paused() else false end")
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

package helper

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// BackupSpec says what a backup looks like on disk.
type BackupSpec struct {
	Files    string          `json:"files" yaml:"files"`                 // glob; the file that was written last is the newest backup
	Checksum string          `json:"checksum,omitempty" yaml:"checksum"` // its checksum file; {file} is the backup's path, {dir} its folder
	MinSize  int64           `json:"min-size,omitempty" yaml:"min-size"` // bytes; an empty archive is no backup
	MaxAge   drills.Duration `json:"max-age,omitempty" yaml:"max-age"`   // since the newest one was written
	Glance   bool            `json:"glance,omitempty" yaml:"-"`          // it is not read: its checksum would take as long as a copy
}

// FindBackup looks at the newest backup: that it is there, not empty, not old, and what its checksum file says it is. The
// other results say why it is no good, as a slug and as a clause.
func FindBackup(s BackupSpec, now time.Time) (b *drills.BackupFound, cause, why string) {
	names, err := filepath.Glob(s.Files)
	if err != nil || len(names) == 0 {
		return nil, "backup-missing", "there is no backup: nothing matches " + s.Files
	}
	b = &drills.BackupFound{Copies: len(names)}
	for _, name := range names {
		st, err := os.Stat(name)
		if err == nil && st.Mode().IsRegular() && !st.ModTime().Before(b.Written) {
			b.File, b.Size, b.Written = name, st.Size(), st.ModTime().UTC()
		}
	}
	if b.File == "" {
		return nil, "backup-missing", "there is no backup: no file matches " + s.Files
	}
	if !s.Glance {
		if b.SHA256, err = fileSum(b.File); err != nil {
			return b, "backup-unreadable", "the newest backup cannot be read: " + err.Error()
		}
	}
	cause, why = s.complaint(b, now)
	return b, cause, why
}

func (s BackupSpec) complaint(b *drills.BackupFound, now time.Time) (cause, why string) {
	if s.Checksum != "" && !s.Glance {
		name := strings.NewReplacer("{file}", b.File, "{dir}", filepath.Dir(b.File)).Replace(s.Checksum)
		stated, err := statedSum(name, filepath.Base(b.File))
		if err != nil {
			return "backup-checksum", "the newest backup has no checksum: " + err.Error()
		}
		if b.Stated = stated; stated != b.SHA256 {
			return "backup-checksum", fmt.Sprintf("the checksum of the newest backup %s is wrong: %.12s…, stated is %.12s…", b.File, b.SHA256, stated)
		}
	}
	if least := max(s.MinSize, 1); b.Size < least {
		return "backup-empty", fmt.Sprintf("the newest backup is empty or cut short: %s has %d bytes, and a good one at least %d%s",
			b.File, b.Size, least, whereas(b.Stated != "", "; its checksum is right all the same"))
	}
	if age := now.Sub(b.Written); s.MaxAge > 0 && age > s.MaxAge.D() {
		return "backup-old", fmt.Sprintf("the newest backup is %s old: none was written for longer than %s", age.Round(time.Second), s.MaxAge)
	}
	return "", ""
}

func whereas(so bool, text string) string {
	if so {
		return text
	}
	return ""
}

func fileSum(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// statedSum reads what sha256sum wrote: the line of the file, or the only one.
func statedSum(list, base string) (string, error) {
	raw, err := os.ReadFile(list)
	if err != nil {
		return "", err
	}
	var all []string
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) == 0 || len(f[0]) != sha256.Size*2 {
			continue
		}
		if len(f) > 1 && filepath.Base(strings.TrimPrefix(f[1], "*")) == base {
			return strings.ToLower(f[0]), nil
		}
		all = append(all, strings.ToLower(f[0]))
	}
	if len(all) != 1 {
		return "", fmt.Errorf("%s names no checksum of %s", list, base)
	}
	return all[0], nil
}

var segmentPattern = regexp.MustCompile(`^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?$`)

// segment is one file of a WAL archive. Number counts segments from the beginning of the WAL.
type segment struct {
	name     string
	timeline uint64
	number   uint64
}

// WALHole looks for segments that are missing between the oldest and the newest one of each timeline. The first result says
// what is there, the second what is missing.
func WALHole(dir string) (there, missing string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", "the WAL archive cannot be read: " + err.Error()
	}
	var names []string
	size := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && segmentPattern.MatchString(e.Name()) {
			names, size = append(names, e.Name()), max(size, info.Size())
		}
	}
	if len(names) == 0 {
		return "", "the WAL archive " + dir + " is empty"
	}
	return holes(names, size)
}

func holes(names []string, size int64) (there, missing string) {
	if size < 1<<20 {
		return "", fmt.Sprintf("the WAL archive holds no whole segment: the largest file has %d bytes", size)
	}
	perLog := uint64(1<<32) / uint64(size)
	var all []segment
	for _, n := range names {
		m := segmentPattern.FindStringSubmatch(n)
		tl, _ := strconv.ParseUint(m[1], 16, 64) // the pattern has seen to it
		log, _ := strconv.ParseUint(m[2], 16, 64)
		seg, _ := strconv.ParseUint(m[3], 16, 64)
		all = append(all, segment{n, tl, log*perLog + seg})
	}
	slices.SortFunc(all, func(a, b segment) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		if a.timeline == b.timeline && b.number > a.number+1 {
			return "", fmt.Sprintf("the WAL archive has a hole: %d segment(s) are missing between %s and %s", b.number-a.number-1, a.name, b.name)
		}
	}
	return fmt.Sprintf("%d segments, %s to %s, none missing", len(all), all[0].name, all[len(all)-1].name), ""
}

// WALOld says that nothing was written to a WAL archive for too long, or "". What is half written counts: it is what a crash
// leaves.
func WALOld(dir string, most time.Duration, now time.Time) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "the WAL archive cannot be read: " + err.Error()
	}
	var newest time.Time
	for _, e := range entries {
		if info, err := e.Info(); err == nil && segmentPattern.MatchString(e.Name()) && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	if age := now.Sub(newest); age > most {
		return fmt.Sprintf("nothing was written to the WAL archive for %s, which is longer than %s", age.Round(time.Second), most)
	}
	return ""
}

// lastComplaint is the last line of a log that tells of an error, or else its last line.
func lastComplaint(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var last, bad string
	in := bufio.NewScanner(f)
	in.Buffer(make([]byte, 1<<16), 1<<20)
	for in.Scan() {
		line := strings.TrimSpace(in.Text())
		if line != "" {
			last = line
		}
		if strings.Contains(line, "FATAL") || strings.Contains(line, "PANIC") || strings.Contains(line, "ERROR") {
			bad = line
		}
	}
	if bad != "" {
		return bad, in.Err()
	}
	return last, in.Err()
}

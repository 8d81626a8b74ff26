package compose

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestImageIsDeterministic(t *testing.T) {
	make := func(mtime time.Time) (digests, []byte) {
		path := filepath.Join(t.TempDir(), "bin")
		if err := os.WriteFile(path, bytes.Repeat([]byte("simulacro"), 1000), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, mtime, mtime); err != nil {
			t.Fatal(err)
		}
		b := newBinary(path)
		d, err := b.measure()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := writeImage(&out, imageRef(d), d, b); err != nil {
			t.Fatal(err)
		}
		return d, out.Bytes()
	}
	d, first := make(time.Unix(1, 0))
	if _, second := make(time.Unix(1e9, 0)); !bytes.Equal(first, second) {
		t.Error("same binary, different image")
	}
	files := untar(t, first)
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	m := manifest[0]
	if m.Config != sum(files[m.Config])+".json" || m.RepoTags[0] != imageRepo+":"+d.binary[:12] {
		t.Errorf("manifest %+v", m)
	}
	layer := files[m.Layers[0]]
	if !strings.Contains(string(files[m.Config]), sum(layer)) {
		t.Error("the config names another layer")
	}
	if got := untar(t, layer)[agentPath]; sum(got) != d.binary {
		t.Error("the binary in the layer is another one")
	}
}

func sum(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

func untar(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if out[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

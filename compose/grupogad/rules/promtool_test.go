package main

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"testing"
)

const monitoringImage = "gad/monitoring:dev"

// TestPromtool has the real programs judge the files: syntax of all three, and behaviour of the rules on
// made-up series. It needs Docker and the built image: SIMULACRO_REQUIRE_DOCKER=1 makes their lack a failure,
// SIMULACRO_NO_DOCKER=1 leaves it out.
func TestPromtool(t *testing.T) {
	if os.Getenv("SIMULACRO_NO_DOCKER") == "1" {
		t.Skip("SIMULACRO_NO_DOCKER=1")
	}
	if err := exec.CommandContext(t.Context(), "docker", "image", "inspect", monitoringImage).Run(); err != nil {
		if os.Getenv("SIMULACRO_REQUIRE_DOCKER") == "1" {
			t.Fatalf("no image %s: %v; make images", monitoringImage, err)
		}
		t.Skipf("no image %s; make images", monitoringImage)
	}
	for _, tc := range []struct {
		name, set, cases string
		defects          []string
	}{
		{"blueprint", "blueprint", "", nil},
		{"fast", "fast", "testdata/fast.yaml", nil},
		{"up-of-exporter", "fast", "testdata/up-of-exporter.yaml", []string{upOfExporter}},
		{"memory divides by zero", "fast", "testdata/memory-divides-by-zero.yaml", []string{memoryByZero}},
		{"everything of Alertmanager", "fast", "", []string{unreachableRoute, placeholderReceiver, danglingInhibition, sloDrift}},
		{"missing metric", "fast", "", []string{missingMetric + "RedisDown"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, err := setNamed(tc.set)
			if err != nil {
				t.Fatal(err)
			}
			files, err := choice{s, tc.defects}.files()
			if err != nil {
				t.Fatal(err)
			}
			script := "cd /tmp && tar x && promtool check config prometheus.yml && amtool check-config alertmanager.yml"
			if tc.cases != "" {
				if files["cases.yml"], err = os.ReadFile(tc.cases); err != nil {
					t.Fatal(err)
				}
				script += " && promtool test rules cases.yml"
			}
			cmd := exec.CommandContext(t.Context(), "docker", "run", "--rm", "-i", "--network", "none", monitoringImage, "sh", "-c", script)
			cmd.Stdin = archive(t, files)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func archive(t *testing.T, files map[string][]byte) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"
)

// choice is what to write: a set and the defects in it.
type choice struct {
	set     set
	defects []string
}

func (c choice) defectLabel() string { return strings.Join(c.defects, ",") }

// files returns name to content of everything Prometheus and Alertmanager read.
func (c choice) files() (map[string][]byte, error) {
	rules, err := spoil(catalogue(), c.defects)
	if err != nil {
		return nil, err
	}
	head := fmt.Sprintf("# Written by compose/grupogad/rules; set %s, defects: %s. Change the program, not this file.\n",
		c.set.Name, orNone(c.defectLabel()))
	files := map[string][]byte{}
	for name, content := range map[string]any{
		"prometheus.yml": prometheusConfig(c.set), "rules.yml": alertRules(c.set, rules, c.defectLabel()),
		"alertmanager.yml": alertmanagerConfig(c.set, c.defects),
	} {
		body, err := yaml.Marshal(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = append([]byte(head), body...)
	}
	return files, nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// write puts the files into dir, readable by the users inside the containers. Files that are already as
// they should be are left alone.
func write(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask
		return err
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
			continue
		}
		if err := replace(path, content); err != nil {
			return err
		}
	}
	return nil
}

// replace swaps the file as a whole: a reload never reads half of one.
func replace(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o644); err != nil {
		return err
	}
	if err := os.Chmod(path+".new", 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

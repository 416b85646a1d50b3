package main

import (
	"bytes"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden holds what people and programs see.
func TestGolden(t *testing.T) {
	svg := filepath.Join(t.TempDir(), "demo.svg")
	all := runDemo(t, "-svg", svg)
	golden(t, "all.txt", all)
	golden(t, "crash-seed7.json", runDemo(t, "-scenario", "crash", "-seed", "7", "-json"))
	picture, err := os.ReadFile(svg)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "all.svg", string(picture))
}

// runDemo is what a run that must succeed prints.
func runDemo(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := demo(args, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Fatalf("demo %s: exit code %d, %s", strings.Join(args, " "), code, &stderr)
	}
	return stdout.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (see -update):\n%s", name, diff)
	}
}

// TestSeed wants the same output for the same seed, and another for another.
func TestSeed(t *testing.T) {
	dir := t.TempDir()
	shown := func(seed string) string {
		svg := filepath.Join(dir, "demo.svg")
		out := runDemo(t, "-scenario", "crash", "-seed", seed, "-svg", svg, "-json")
		picture, err := os.ReadFile(svg)
		if err != nil {
			t.Fatal(err)
		}
		return out + string(picture) + runDemo(t, "-scenario", "crash", "-seed", seed)
	}
	first, second := shown("42"), shown("42")
	if first != second {
		t.Error("two runs with the same seed differ")
	}
	if first == shown("43") {
		t.Error("two seeds give the same run")
	}
	if out := runDemo(t, "-scenario", "crash", "-seed", "42"); !strings.Contains(out, "seed 42") {
		t.Error("the seed is not printed")
	}
}

// TestPicture wants XML that ends, without anything that a viewer must fetch.
func TestPicture(t *testing.T) {
	r := mustRun(t, &scenarios[0], 1)
	picture := drawSVG([]*record{r})
	d := xml.NewDecoder(bytes.NewReader(picture))
	for {
		_, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{"NaN", "Inf", "href", "%!"} {
		if bytes.Contains(picture, []byte(bad)) {
			t.Errorf("the picture contains %q", bad)
		}
	}
	for _, want := range []string{"prefers-color-scheme: dark", `class="MASTER"`, `class="answered"`, r.verdict.String()} {
		if !bytes.Contains(picture, []byte(want)) {
			t.Errorf("the picture lacks %q", want)
		}
	}
}

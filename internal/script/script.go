// Package script runs tables of what happens to a machine, for tests: text files
// that a network engineer can review. A row starts with "# " and its name and ends
// with an empty line; its lines are
//
//	new WORDS      makes the machine
//	TIME WORDS     an event so many seconds after the start;
//	               +TIME, so long after the event before
//	> OUTCOME      what the machine wanted
//
// What the words mean is the test's business. With the flag -rewrite the outcomes in
// the files are replaced by those of now: read the diff.
package script

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the expectations of testdata/script")

// Run runs the rows of the files of a pattern. run returns the row with the outcomes
// that it had, as [Row] does.
func Run(t *testing.T, pattern string, run func(t *testing.T, row string) string) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		for row := range strings.SplitAfterSeq(string(text), "\n\n") {
			name, _, _ := strings.Cut(strings.TrimPrefix(row, "# "), "\n")
			t.Run(filepath.Base(file)+"/"+name, func(t *testing.T) {
				out := run(t, row)
				got.WriteString(out)
				if diff := cmp.Diff(row, out); diff != "" && !*rewrite {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
		if *rewrite {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Outcome writes an outcome down, as fmt.Sprintf does.
type Outcome func(format string, args ...any)

// Row runs the lines of a row and returns it with the outcomes that there are now.
// begin is called for a line "new", event for any other; at is the time since the
// start.
func Row(t testing.TB, row string, begin func(words []string), event func(at time.Duration, words []string, out Outcome)) string {
	t.Helper()
	var text strings.Builder
	out := func(format string, args ...any) { fmt.Fprintf(&text, "> "+format+"\n", args...) }
	var at time.Duration
	for line := range strings.Lines(row) {
		f := strings.Fields(line)
		if len(f) > 0 && f[0] == ">" {
			continue
		}
		text.WriteString(line)
		switch {
		case len(f) == 0 || f[0] == "#":
		case len(f) == 1:
			t.Fatalf("%q: one word is not enough", line)
		case f[0] == "new":
			begin(f[1:])
		default:
			after, relative := strings.CutPrefix(f[0], "+")
			sec, err := strconv.ParseFloat(after, 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if !relative {
				at = 0
			}
			at += time.Duration(sec * float64(time.Second))
			event(at, f[1:], out)
		}
	}
	return text.String()
}

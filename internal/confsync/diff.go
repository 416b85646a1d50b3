package confsync

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/gocarp/gocarp/internal/ifconfig"
)

// A Change is what is different about a file.
type Change struct {
	Name    string  `json:"name"`
	Section Section `json:"section"`
	Kind    string  `json:"kind"`           // added, changed, or removed
	Text    string  `json:"text,omitempty"` // lines that begin with + and -, without secrets
}

// Diff is what has to be done to get from one tree to another, by section and name.
func Diff(from, to Tree) []Change {
	var all []Change
	names := maps.Clone(from)
	maps.Copy(names, to)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, had := from[name]
		b, has := to[name]
		if had && has && a.SHA256 == b.SHA256 && a.Mode == b.Mode {
			continue
		}
		c := Change{Name: name, Kind: "changed"}
		c.Section, _ = SectionOf(name)
		switch {
		case !had:
			c.Kind = "added"
		case !has:
			c.Kind = "removed"
		case a.Mode != b.Mode:
			c.Text = fmt.Sprintf("mode %#o -> %#o\n", a.Mode, b.Mode)
		}
		c.Text += difference(c.Section, a, b)
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b Change) int {
		return cmp.Compare(slices.Index(Sections, a.Section), slices.Index(Sections, b.Section))
	})
	return all
}

// othersRead is the permission of a file that has no secrets.
const othersRead fs.FileMode = 0o004

// difference is that of two files, as far as it may be seen.
func difference(section Section, a, b File) string {
	if a.SHA256 == b.SHA256 {
		return ""
	}
	if (section == Hooks || section == Extra) && (a.Mode|b.Mode)&othersRead == 0 {
		return fmt.Sprintf("%d octets -> %d octets, not shown: others may not read it\n", len(a.Data), len(b.Data))
	}
	x, y := shown(section, a), shown(section, b)
	for len(x) > 0 && len(y) > 0 && x[0] == y[0] {
		x, y = x[1:], y[1:]
	}
	for len(x) > 0 && len(y) > 0 && x[len(x)-1] == y[len(y)-1] {
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	var out strings.Builder
	for _, l := range edits(x, y) {
		out.WriteString(l)
	}
	return out.String()
}

// A shownLine is a line, and how it may be seen.
type shownLine struct{ raw, text string }

// shown are the lines of a file, with placeholders for secrets.
func shown(section Section, f File) []shownLine {
	raw := strings.ReplaceAll(string(f.Data), "\r\n", "\n")
	text := raw
	switch section {
	case Carp, Pfsync:
		text = ifconfig.Redact(strings.TrimPrefix(f.Name, "hostname."), raw)
	case Settings:
		text = secretKey.ReplaceAllString(raw, `$1 "[secret]"`)
	}
	rawLines, textLines := splitLines(raw), splitLines(text)
	if len(rawLines) != len(textLines) { // a secret that goes over several lines
		rawLines = textLines
	}
	out := make([]shownLine, len(textLines))
	for i := range out {
		out[i] = shownLine{rawLines[i], printable(textLines[i])}
	}
	return out
}

// secretKey finds settings that sound like a secret, even as a comment.
var secretKey = regexp.MustCompile(`(?im)^([^=\n]*(?:secret|pass|key|token)[^=\n]*=).*$`)

func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

// printable is s without what a terminal acts on.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// maxTable bounds the work of edits: what is longer is shown as another text.
const maxTable = 1 << 20

// edits are the lines of a with -, where b does not have them, and those of b with +,
// where a does not, by a longest common subsequence.
func edits(a, b []shownLine) []string {
	var out []string
	if len(a)*len(b) > maxTable {
		for _, l := range a {
			out = append(out, "-"+l.text+"\n")
		}
		for _, l := range b {
			out = append(out, "+"+l.text+"\n")
		}
		return out
	}
	common := make([][]int, len(a)+1) // by where it begins in a and in b
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i].raw == b[j].raw {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i].raw == b[j].raw:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "-"+a[i].text+"\n")
			i++
		default:
			out = append(out, "+"+b[j].text+"\n")
			j++
		}
	}
	return out
}

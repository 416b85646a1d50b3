package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/gocarp/gocarp/internal/ifconfig"
)

// A tomlValue is a value of a TOML file: a string, an int64, a bool, or a []string.
type tomlValue struct {
	key string // with its table, as "hooks.timeout"
	pos ifconfig.Pos
	v   any
}

// parseTOML reads as much of TOML as our file needs: comments, tables, and keys with
// a string, an integer, a boolean, or an array of strings on one line.
func parseTOML(file, data string) ([]tomlValue, error) {
	var all []tomlValue
	seen := make(map[string]bool)
	table, n := "", 0
	for text := range strings.Lines(data) {
		n++
		p := tomlLine{strings.TrimSpace(text)}
		pos := ifconfig.Pos{File: file, Line: n}
		if p.end() {
			continue
		}
		if p.skip("[") {
			name := p.key()
			if name == "" || !p.skip("]") || !p.end() {
				return nil, &ifconfig.Error{Pos: pos, Msg: "expected a table, as [hooks] or [check.gateway]"}
			}
			table = name + "."
			continue
		}
		key := p.key()
		if key == "" || !p.skip("=") {
			return nil, &ifconfig.Error{Pos: pos, Msg: `expected key = value, or [table]`}
		}
		if key = table + key; seen[key] {
			return nil, &ifconfig.Error{Pos: pos, Word: key, Msg: "expected it once"}
		}
		seen[key] = true
		v, err := p.value()
		if err == nil && !p.end() {
			err = errors.New("expected nothing after the value")
		}
		if err != nil {
			return nil, &ifconfig.Error{Pos: pos, Word: key, Msg: err.Error()}
		}
		all = append(all, tomlValue{key, pos, v})
	}
	return all, nil
}

// A tomlLine is what is left of a line.
type tomlLine struct{ rest string }

// end reports whether nothing but a comment is left.
func (p *tomlLine) end() bool {
	p.rest = strings.TrimLeft(p.rest, " \t")
	return p.rest == "" || p.rest[0] == '#'
}

// skip takes token, if it is next.
func (p *tomlLine) skip(token string) bool {
	rest, ok := strings.CutPrefix(strings.TrimLeft(p.rest, " \t"), token)
	if ok {
		p.rest = rest
	}
	return ok
}

// key takes bare keys with dots between them. It is empty if one is missing.
func (p *tomlLine) key() string {
	key := p.name()
	for key != "" && p.skip(".") {
		name := p.name()
		if name == "" {
			return ""
		}
		key += "." + name
	}
	return key
}

// name takes a bare key.
func (p *tomlLine) name() string {
	p.rest = strings.TrimLeft(p.rest, " \t")
	n := strings.IndexFunc(p.rest+" ", func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	})
	name := p.rest[:n]
	p.rest = p.rest[n:]
	return name
}

func (p *tomlLine) value() (any, error) {
	switch {
	case p.skip("["):
		return p.array()
	case p.skip(`"`):
		return p.text('"')
	case p.skip("'"):
		return p.text('\'')
	}
	word := p.name()
	switch word {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(word, "_", ""), 10, 64)
	if err != nil {
		return nil, errors.New("expected a string in quotes, a number, true, false, or an array of strings")
	}
	return n, nil
}

func (p *tomlLine) array() ([]string, error) {
	all := []string{}
	for !p.skip("]") {
		if len(all) > 0 && !p.skip(",") {
			return nil, errors.New("expected , or ]")
		}
		if p.skip("]") {
			break
		}
		v, err := p.value()
		s, isText := v.(string)
		if err != nil || !isText {
			return nil, errors.New("expected strings in quotes, and ] on the same line")
		}
		all = append(all, s)
	}
	return all, nil
}

// text takes a string up to its closing quote. None of our values needs an escape.
func (p *tomlLine) text(quote byte) (string, error) {
	s, rest, ok := strings.Cut(p.rest, string(quote))
	if !ok || quote == '"' && strings.Contains(s, `\`) {
		return "", errors.New("expected a closing quote, and no backslash before it")
	}
	p.rest = rest
	return s, nil
}

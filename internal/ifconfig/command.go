package ifconfig

import (
	"strings"

	"github.com/gocarp/gocarp/demote"
)

// An Action is what a [Command] wants.
type Action uint8

const (
	// Show prints interfaces: all of them, or Name, or the members of group
	// Name, or, if there is no such group, all that are called Name and a number.
	// With a family ("ifconfig carp1 inet") it prints no less.
	Show Action = iota

	// ShowGroup prints the demotion of group Name: ifconfig -g.
	ShowGroup

	// Demote adds Demote to the demotion of group Name.
	Demote

	// Configure applies Changes to interface Name.
	Configure
)

// A Command is an ifconfig(8) command line.
type Command struct {
	Action  Action
	Name    string   // of an interface or group; empty for all interfaces
	Demote  int      // -128 to 128; 0 has no effect
	Changes []Change // not empty
}

const maxDemote = 128 // of one carpdemote (setgroupattribs)

// ParseCommand reads the words that follow ifconfig on its command line. The
// error is an [*Error].
func ParseCommand(args []string) (Command, error) {
	tokens := tokenize("ifconfig", args)
	switch {
	case len(args) == 0:
		return Command{}, nil
	case args[0] == "-a" || args[0] == "-A":
		for _, t := range tokens[1:] {
			if t.text != "inet" && t.text != "inet6" {
				return Command{}, &Error{t.pos, t.text, "expected nothing after " + args[0]}
			}
		}
		return Command{}, nil
	case args[0] == "-g":
		return parseGroup(tokens)
	case args[0] == "" || args[0][0] == '-':
		return Command{}, &Error{tokens[0].pos, args[0], "expected an interface, a group, -a or -g"}
	case !isInterface(args[0]):
		return Command{}, &Error{tokens[0].pos, args[0], "expected " + wantInterface}
	}

	cmd := Command{Action: Configure, Name: args[0]}
	where := "ifconfig " + cmd.Name
	if err := checkUnit("ifconfig", cmd.Name); err != nil {
		return Command{}, err
	}
	var err error
	cmd.Changes, err = parse(cmd.Name, tokenize(where, args)[1:])
	if err != nil {
		return Command{}, err
	}
	if cmd.Changes == nil {
		cmd.Action = Show
	}
	return cmd, nil
}

// tokenize makes tokens of the words of a command.
func tokenize(command string, args []string) []token {
	tokens := make([]token, len(args))
	for i, a := range args {
		tokens[i] = token{a, Pos{File: command, Word: i + 1}}
	}
	return tokens
}

// parseGroup reads "-g GROUP [carpdemote [N] | -carpdemote [N]]".
func parseGroup(tokens []token) (Command, error) {
	fail := func(t token, msg string) (Command, error) { return Command{}, &Error{t.pos, t.text, msg} }
	if len(tokens) == 1 {
		return fail(tokens[0], "expected "+wantGroup+", after it")
	}
	cmd := Command{Action: ShowGroup, Name: tokens[1].text}
	if demote.CheckName(cmd.Name) != nil {
		return fail(tokens[1], "expected "+wantGroup)
	}
	if len(tokens) == 2 {
		return cmd, nil
	}
	word, minus := strings.CutPrefix(tokens[2].text, "-")
	if word != "carpdemote" {
		return fail(tokens[2], "expected carpdemote or -carpdemote")
	}
	c := Change{N: 1}
	if len(tokens) > 3 && !number(0, maxDemote)(&c, tokens[3].text) {
		return fail(tokens[3], "expected a number, 0 to 128")
	}
	if len(tokens) > 4 {
		return fail(tokens[4], "expected nothing more")
	}
	cmd.Action, cmd.Demote = Demote, c.N
	if minus {
		cmd.Demote = -c.N
	}
	return cmd, nil
}

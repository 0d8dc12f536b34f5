package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errOpen says that an expression goes on in the next line.
var errOpen = errors.New("the expression goes on")

// tokens cuts an expression up: numbers, names, and signs of one character.
func tokens(text string) []string {
	var all []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		n := strings.IndexAny(text, " +-*/()")
		switch n {
		case -1:
			n = len(text)
		case 0:
			n = 1
		}
		all = append(all, text[:n])
		text = text[n:]
	}
	return all
}

// parser evaluates an expression by recursive descent.
type parser struct {
	names  map[string]float64
	tokens []string // that are left
}

// take takes the next token if it is one of the signs.
func (p *parser) take(signs string) string {
	if len(p.tokens) == 0 || !strings.Contains(signs, p.tokens[0]) {
		return ""
	}
	token := p.tokens[0]
	p.tokens = p.tokens[1:]
	return token
}

func (p *parser) sum() (float64, error) {
	value, err := p.product()
	for err == nil {
		sign := p.take("+-")
		if sign == "" {
			break
		}
		var next float64
		if next, err = p.product(); sign == "-" {
			next = -next
		}
		value += next
	}
	return value, err
}

func (p *parser) product() (float64, error) {
	value, err := p.factor()
	for err == nil {
		sign := p.take("*/")
		if sign == "" {
			break
		}
		var next float64
		next, err = p.factor()
		switch {
		case err != nil:
		case sign == "*":
			value *= next
		case next == 0:
			err = errors.New("division by zero")
		default:
			value /= next
		}
	}
	return value, err
}

func (p *parser) factor() (float64, error) {
	switch {
	case p.take("-") != "":
		value, err := p.factor()
		return -value, err
	case p.take("(") != "":
		value, err := p.sum()
		if err == nil && p.take(")") == "" {
			err = errOpen
			if len(p.tokens) > 0 {
				err = fmt.Errorf("%q in place of )", p.tokens[0])
			}
		}
		return value, err
	case len(p.tokens) == 0:
		return 0, errOpen
	}
	token := p.tokens[0]
	p.tokens = p.tokens[1:]
	if value, known := p.names[token]; known {
		return value, nil
	}
	if value, err := strconv.ParseFloat(token, 64); err == nil {
		return value, nil
	}
	if strings.Contains("+*/)", token) {
		return 0, fmt.Errorf("unexpected %q", token)
	}
	return 0, fmt.Errorf("unknown name %q", token)
}

package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// Variable is an environment variable that a service reads.
type Variable struct {
	Name        string
	Default     string // "" for none
	Description string
	Allowed     string // which values are
}

// Variables returns the variables of all services, each once.
func Variables() []Variable {
	var all []Variable
	known := map[string]bool{}
	for _, c := range []any{&Allocator{}, &Keepalive{}, &Standalone{}} {
		for _, s := range settings(reflect.ValueOf(c).Elem()) {
			if !known[s.variable().Name] {
				known[s.variable().Name] = true
				all = append(all, s.variable())
			}
		}
	}
	return all
}

// setting is a field of a configuration that a variable sets.
type setting struct {
	field reflect.StructField
	value reflect.Value
}

// settings returns the fields of a struct, and of the structs in it, that variables set.
func settings(v reflect.Value) []setting {
	var all []setting
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Tag.Get("envconfig") != "" {
			all = append(all, setting{field, v.Field(i)})
		} else {
			all = append(all, settings(v.Field(i))...)
		}
	}
	return all
}

func (s setting) variable() Variable {
	tag := s.field.Tag
	return Variable{Name: tag.Get("envconfig"), Default: tag.Get("default"), Description: tag.Get("desc"), Allowed: tag.Get("allowed")}
}

// decode sets the field from the environment. It hands envconfig a struct of this one field, because envconfig stops at
// the first mistake.
func (s setting) decode() error {
	field := reflect.StructField{Name: s.field.Name, Type: s.field.Type, Tag: s.field.Tag}
	one := reflect.New(reflect.StructOf([]reflect.StructField{field}))
	if err := envconfig.Process("", one.Interface()); err != nil {
		return err
	}
	s.value.Set(one.Elem().Field(0))
	return nil
}

// mistake returns the error of a variable that has a value it must not have.
func (s setting) mistake(reason string) error {
	name := s.variable().Name
	value, set := os.LookupEnv(name)
	if !set {
		return fmt.Errorf("%s is not set: %s", name, reason)
	}
	if s.field.Type == reflect.TypeFor[Secret]() {
		return fmt.Errorf("%s: %s", name, reason)
	}
	return fmt.Errorf("%s=%q: %s", name, withoutUser(value), reason)
}

// withoutUser hides what stands before the @ of a URL: it may hold a password.
func withoutUser(value string) string {
	if i := strings.LastIndexByte(value, '@'); i >= 0 {
		return redacted + value[i:]
	}
	return value
}

// environment notes what is wrong with variables: for each name, why.
type environment struct{ reasons map[string]string }

// refuse notes why a variable must not have the value it has; the first reason counts.
func (e *environment) refuse(name, reason string) {
	if _, refused := e.reasons[name]; !refused {
		e.reasons[name] = reason
	}
}

// require refuses a variable, for what its declaration allows, unless ok.
func (e *environment) require(name string, ok bool) {
	if !ok {
		e.refuse(name, "")
	}
}

// load fills the struct that c points to from the environment, and runs the checks on it.
func load(c any, checks ...func(*environment)) error {
	all := settings(reflect.ValueOf(c).Elem())
	e := &environment{reasons: map[string]string{}}
	for _, s := range all {
		e.require(s.variable().Name, s.decode() == nil)
	}
	for _, check := range checks {
		check(e)
	}
	var mistakes []error
	for _, s := range all {
		if reason, refused := e.reasons[s.variable().Name]; refused {
			if reason == "" {
				reason = s.variable().Allowed
			}
			mistakes = append(mistakes, s.mistake(reason))
		}
	}
	return errors.Join(mistakes...)
}

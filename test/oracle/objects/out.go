package main

import (
	"strings"

	service "k8s.io/kubernetes/pkg/api/service"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/discovery"
	"k8s.io/kubernetes/pkg/apis/networking"
	netutils "k8s.io/utils/net"
)

// What is read of an object that Kubernetes accepts, with its defaults.

func address(text string) string {
	if ip := netutils.ParseIPSloppy(text); ip != nil {
		return ip.String()
	}
	return ""
}

func addresses(texts []string) []string {
	found := []string{}
	for _, text := range texts {
		if one := address(text); one != "" {
			found = append(found, one)
		}
	}
	return found
}

func prefixes(texts []string) []string {
	found := []string{}
	for _, text := range texts {
		if _, one, err := netutils.ParseCIDRSloppy(strings.TrimSpace(text)); err == nil {
			found = append(found, one.String())
		}
	}
	return found
}

func value[T any](pointer *T) any {
	if pointer == nil {
		return nil
	}
	return *pointer
}

func serviceOut(of *core.Service) map[string]any {
	spec := &of.Spec
	_, foreign := of.Labels["service.kubernetes.io/service-proxy-name"]
	out := map[string]any{"key": of.Namespace + "/" + of.Name, "type": spec.Type, "foreign": foreign}
	if spec.Type == core.ServiceTypeExternalName {
		return out
	}
	ips := addresses(spec.ClusterIPs)
	if len(spec.IPFamilies) > 0 && len(ips) > len(spec.IPFamilies) {
		ips = ips[:len(spec.IPFamilies)] // kube-proxy takes them by the position of the family
	}
	out["clusterIPs"] = ips
	out["families"] = spec.IPFamilies
	out["externalIPs"] = addresses(spec.ExternalIPs)
	out["ranges"] = prefixes(spec.LoadBalancerSourceRanges)
	out["internalLocal"] = spec.InternalTrafficPolicy != nil && *spec.InternalTrafficPolicy == core.ServiceInternalTrafficPolicyLocal
	out["externalLocal"] = service.ExternallyAccessible(of) && spec.ExternalTrafficPolicy == core.ServiceExternalTrafficPolicyLocal
	out["health"] = spec.HealthCheckNodePort
	out["notReady"] = spec.PublishNotReadyAddresses
	out["selector"] = spec.Selector
	out["affinity"] = nil
	if spec.SessionAffinity == core.ServiceAffinityClientIP {
		out["affinity"] = value(spec.SessionAffinityConfig.ClientIP.TimeoutSeconds)
	}
	ports := []any{}
	for _, port := range spec.Ports {
		ports = append(ports, []any{port.Name, port.Protocol, port.Port, port.NodePort, port.TargetPort.String()})
	}
	out["ports"] = ports
	balancers := []string{}
	for _, ingress := range of.Status.LoadBalancer.Ingress {
		if ip := address(ingress.IP); ip != "" && (ingress.IPMode == nil || *ingress.IPMode == core.LoadBalancerIPModeVIP) {
			balancers = append(balancers, ip)
		}
	}
	out["loadBalancerIPs"] = balancers
	return out
}

func sliceOut(of *discovery.EndpointSlice) map[string]any {
	out := map[string]any{"key": of.Namespace + "/" + of.Name, "service": of.Labels["kubernetes.io/service-name"],
		"type": of.AddressType}
	if _, headless := of.Labels["service.kubernetes.io/headless"]; headless {
		out["service"] = "" // kube-proxy does not list it
	}
	if of.AddressType == discovery.AddressTypeFQDN {
		return map[string]any{"type": of.AddressType}
	}
	ports := []any{}
	for _, port := range of.Ports {
		if port.Port != nil && *port.Port > 0 && *port.Port < 65536 { // no rule can have another one
			ports = append(ports, []any{*port.Name, *port.Protocol, *port.Port})
		}
	}
	out["ports"] = ports
	endpoints := []any{}
	for _, one := range of.Endpoints {
		conditions := one.Conditions
		flag := func(pointer *bool, usual bool) bool {
			if pointer == nil {
				return usual
			}
			return *pointer
		}
		node := ""
		if one.NodeName != nil {
			node = *one.NodeName
		}
		zones, nodes := []string{}, []string{}
		if one.Hints != nil {
			for _, zone := range one.Hints.ForZones {
				zones = append(zones, zone.Name)
			}
			for _, node := range one.Hints.ForNodes {
				nodes = append(nodes, node.Name)
			}
		}
		endpoints = append(endpoints, []any{address(one.Addresses[0]), flag(conditions.Ready, true),
			flag(conditions.Serving, true), flag(conditions.Terminating, false), node, zones, nodes})
	}
	out["endpoints"] = endpoints
	return out
}

func nodeOut(of *core.Node) map[string]any {
	found := []string{}
	for _, wanted := range []core.NodeAddressType{core.NodeInternalIP, core.NodeExternalIP} {
		for _, one := range of.Status.Addresses {
			if ip := address(one.Address); one.Type == wanted && ip != "" {
				found = append(found, ip)
			}
		}
	}
	leaving := of.DeletionTimestamp != nil
	for _, taint := range of.Spec.Taints {
		leaving = leaving || taint.Key == "ToBeDeletedByClusterAutoscaler"
	}
	return map[string]any{"key": of.Name, "addresses": found, "podCIDRs": prefixes(of.Spec.PodCIDRs),
		"zone": of.Labels["topology.kubernetes.io/zone"], "leaving": leaving}
}

func podOut(of *core.Pod) map[string]any {
	found := []string{}
	for _, one := range of.Status.PodIPs {
		found = append(found, one.IP)
	}
	ready := false
	for _, one := range of.Status.Conditions {
		if one.Type == core.PodReady {
			ready = one.Status == core.ConditionTrue
			break
		}
	}
	ports := []any{}
	add := func(container *core.Container) {
		for _, port := range container.Ports {
			hostPort := port.HostPort
			if port.HostIP != "" && address(port.HostIP) == "" {
				hostPort = 0 // it can be opened nowhere
			}
			ports = append(ports, []any{port.Name, port.Protocol, port.ContainerPort, hostPort, address(port.HostIP)})
		}
	}
	for i := range of.Spec.Containers {
		add(&of.Spec.Containers[i])
	}
	for i := range of.Spec.InitContainers {
		container := &of.Spec.InitContainers[i]
		if container.RestartPolicy != nil && *container.RestartPolicy == core.ContainerRestartPolicyAlways {
			add(container)
		}
	}
	created := int64(0)
	if !of.CreationTimestamp.IsZero() {
		created = of.CreationTimestamp.Unix()
	}
	network := of.Spec.SecurityContext != nil && of.Spec.SecurityContext.HostNetwork
	return map[string]any{"key": of.Namespace + "/" + of.Name, "labels": of.Labels, "node": of.Spec.NodeName,
		"hostname": of.Spec.Hostname, "hostNetwork": network, "phase": string(of.Status.Phase), "ready": ready,
		"terminating": of.DeletionTimestamp != nil, "created": created, "addresses": addresses(found), "ports": ports}
}

func backendOut(of *networking.IngressBackend) any {
	if of == nil {
		return nil
	}
	if of.Service == nil {
		return []any{"", 0, ""}
	}
	return []any{of.Service.Name, of.Service.Port.Number, of.Service.Port.Name}
}

func ingressOut(of *networking.Ingress) map[string]any {
	class := of.Annotations["kubernetes.io/ingress.class"]
	if of.Spec.IngressClassName != nil {
		class = *of.Spec.IngressClassName
	}
	rules := []any{}
	for _, rule := range of.Spec.Rules {
		paths := []any{}
		if rule.HTTP != nil {
			for i := range rule.HTTP.Paths {
				path := &rule.HTTP.Paths[i]
				shown := path.Path
				if shown == "" {
					shown = "/"
				}
				paths = append(paths, []any{shown, string(*path.PathType), backendOut(&path.Backend)})
			}
		}
		rules = append(rules, []any{rule.Host, paths})
	}
	hosts := []string{}
	for _, tls := range of.Spec.TLS {
		hosts = append(hosts, tls.Hosts...)
	}
	return map[string]any{"key": of.Namespace + "/" + of.Name, "class": class,
		"default": backendOut(of.Spec.DefaultBackend), "rules": rules, "hosts": hosts}
}

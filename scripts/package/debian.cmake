# The Debian package: `cpack` in a build folder, or scripts/package.sh.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME kubenatd)
set(CPACK_PACKAGE_CONTACT "kubenatd maintainers <maintainers@kubenatd.invalid>")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
# For a kubeconfig that leaves the authorities to the system.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "Kubernetes node agent in place of kube-proxy and portmap
kubenatd turns Services, NodePorts and hostPorts into netfilter rules, keeps
them as they should be, and explains them. It writes the chains that
kube-proxy and the portmap plugin write, or an nftables table, by netlink
alone.")
if(CMAKE_CROSSCOMPILING)
  set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE ${KUBENATD_DEBIAN_ARCHITECTURE})
  set(CPACK_KUBENATD_SYSROOT ${CMAKE_SYSROOT})
endif()
set(CPACK_KUBENATD_SOURCE ${CMAKE_SOURCE_DIR})
set(CPACK_KUBENATD_PROGRAM ${CMAKE_BINARY_DIR}/kubenatd)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/postinst ${CMAKE_CURRENT_LIST_DIR}/prerm
                                       ${CMAKE_CURRENT_LIST_DIR}/postrm ${CMAKE_CURRENT_LIST_DIR}/conffiles)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION TRUE)
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_CURRENT_LIST_DIR}/start.cmake)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/finish.cmake)

install(FILES ${CMAKE_CURRENT_LIST_DIR}/copyright DESTINATION share/doc/kubenatd)
# Debian 13 has another libfmt, and a libcpprest with another Boost: of that the program has compiled in as much as libcpprest, and
# both must be of one version.
set(brought_packages libfmt9 libcpprest2.10)
set(brought_libraries fmt::fmt cpprestsdk::cpprest)
foreach(package library IN ZIP_LISTS brought_packages brought_libraries)
  get_target_property(file ${library} LOCATION)
  list(APPEND CPACK_KUBENATD_BROUGHT ${package} ${file})
  install(FILES $<TARGET_FILE:${library}> DESTINATION lib/kubenatd RENAME $<TARGET_SONAME_FILE_NAME:${library}>)
  install(FILES ${CMAKE_SYSROOT}/usr/share/doc/${package}/copyright DESTINATION share/doc/kubenatd RENAME copyright.${package})
endforeach()
file(GLOB pages ${CMAKE_CURRENT_LIST_DIR}/pages/*.8)
install(FILES ${pages} DESTINATION share/man/man8)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/pages/kubenatd.bash DESTINATION share/bash-completion/completions RENAME kubenatd)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/pages/_kubenatd DESTINATION share/zsh/vendor-completions)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/pages/kubenatd.fish DESTINATION share/fish/vendor_completions.d)
install(FILES ${CMAKE_SOURCE_DIR}/manifests/systemd/kubenatd.service DESTINATION lib/systemd/system)
install(FILES ${CMAKE_SOURCE_DIR}/manifests/systemd/config.conf DESTINATION /etc/kubenatd)
include(CPack)

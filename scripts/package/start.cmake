# Run by cpack before it packs, with the settings of debian.cmake.

# The times in the package are those of the commit, so that it does not depend on when it is made; without git, of the source.
if(NOT DEFINED ENV{SOURCE_DATE_EPOCH})
  execute_process(COMMAND git -C ${CPACK_KUBENATD_SOURCE} log -1 --format=%ct
                  OUTPUT_VARIABLE time OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed ERROR_QUIET)
  if(failed)
    file(TIMESTAMP ${CPACK_KUBENATD_SOURCE}/CHANGELOG.md time %s UTC)
  endif()
  set(ENV{SOURCE_DATE_EPOCH} ${time})
endif()

set(target)
if(CPACK_KUBENATD_SYSROOT)
  set(target --architecture ${CPACK_DEBIAN_PACKAGE_ARCHITECTURE} --sysroot ${CPACK_KUBENATD_SYSROOT})
endif()
execute_process(COMMAND ${CPACK_KUBENATD_SOURCE}/scripts/package/depends.sh ${target} ${CPACK_KUBENATD_PROGRAM}
                        ${CPACK_KUBENATD_BROUGHT}
                OUTPUT_VARIABLE CPACK_DEBIAN_PACKAGE_DEPENDS OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "the packages that kubenatd needs are not known")
endif()
